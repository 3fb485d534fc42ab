# Warnings and sanitizers for everything of Duet, and one function per kind of target.

add_library(duet_options INTERFACE)
target_compile_options(duet_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
                                              -Wmissing-prototypes -fno-common)
target_compile_definitions(duet_options INTERFACE _GNU_SOURCE)
if(DUET_WERROR)
    target_compile_options(duet_options INTERFACE -Werror)
endif()
if(DUET_SANITIZE)
    target_compile_options(duet_options INTERFACE -fsanitize=${DUET_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
    target_link_options(duet_options INTERFACE -fsanitize=${DUET_SANITIZE})
endif()
if(DUET_FUZZ)
    target_compile_options(duet_options INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(duet_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# duet_module(NAME ice SOURCES a.c b.c LINKS duet::base [PRIVATE_LINKS OpenSSL::SSL])
# A static library duet_<name>, alias duet::<name>. PRIVATE_LINKS are not needed to compile against its headers.
function(duet_module)
    cmake_parse_arguments(M "" "NAME" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
    add_library(duet_${M_NAME} STATIC ${M_SOURCES})
    add_library(duet::${M_NAME} ALIAS duet_${M_NAME})
    set_target_properties(duet_${M_NAME} PROPERTIES EXPORT_NAME ${M_NAME})
    target_include_directories(duet_${M_NAME} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                                              PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(duet_${M_NAME} PUBLIC ${M_LINKS} PRIVATE ${M_PRIVATE_LINKS} $<BUILD_INTERFACE:duet_options>)
    set_property(GLOBAL APPEND PROPERTY DUET_MODULES duet_${M_NAME})
endfunction()

# The module that a test or fuzz file is for: the part of its name before the first underscore.
function(duet_module_of file out)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "_.*" "" module ${name})
    set(${out} duet::${module} PARENT_SCOPE)
endfunction()
