# Turns an ASCII text into a C array with a NUL at its end, at build time:
#   cmake -DOUT=script.c -DIN=script.lua -DNAME=duet_script -P cmake/embed_text.cmake
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\1 " spaced "${hex}")
if(spaced MATCHES "[89a-f][0-9a-f] ")
    message(FATAL_ERROR "embed: ${IN} is not ASCII")
endif()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
get_filename_component(file "${IN}" NAME)
file(WRITE "${OUT}" "/* Made from ${file} by cmake/embed_text.cmake. */\nextern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0};\n")
