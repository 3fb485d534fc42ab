# The umbrella target duet::duet: the whole stack in one library (libduet.a, or libduet.so with BUILD_SHARED_LIBS), and the
# install rules. Each module is installed alone as well: link duet::ice or duet::sdp without the rest, or duet::duet, not both.
include(CMakePackageConfigHelpers)

get_property(duet_modules GLOBAL PROPERTY DUET_MODULES)
list(REMOVE_ITEM duet_modules duet_signaling duet_inspect) # the tool's own
# Encoders and decoders stay out of libduet: who moves no media, or only encoded media, should not need Opus and libvpx.
list(REMOVE_ITEM duet_modules duet_codecs)
set(duet_extra)
if(DUET_MEDIA)
    set(duet_extra duet_codecs)
endif()

add_library(duet_library)
add_library(duet::duet ALIAS duet_library)
foreach(module ${duet_modules})
    target_sources(duet_library PRIVATE $<TARGET_OBJECTS:${module}>)
endforeach()
set_target_properties(duet_library PROPERTIES EXPORT_NAME duet OUTPUT_NAME duet LINKER_LANGUAGE C VERSION ${PROJECT_VERSION}
                                              SOVERSION ${PROJECT_VERSION_MAJOR})
target_include_directories(duet_library PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(duet_library PRIVATE OpenSSL::SSL OpenSSL::Crypto PkgConfig::USRSCTP PkgConfig::CARES
                                           Threads::Threads $<BUILD_INTERFACE:duet_options>)
if(DUET_MEDIA)
    target_link_libraries(duet_library PRIVATE PkgConfig::SRTP m)
endif()

install(TARGETS duet_library ${duet_modules} ${duet_extra} EXPORT duet_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/duet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} PATTERN signaling.h EXCLUDE PATTERN utcp.h EXCLUDE)
install(EXPORT duet_targets NAMESPACE duet:: FILE duetTargets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/duet)

configure_package_config_file(cmake/duetConfig.cmake.in ${PROJECT_BINARY_DIR}/duetConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/duet)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/duetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/duetConfig.cmake ${PROJECT_BINARY_DIR}/duetConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/duet)

if(DUET_MEDIA)
    set(DUET_PC_MEDIA ", libsrtp2")
    set(DUET_PC_LIBS " -lm")
endif()
configure_file(cmake/duet.pc.in ${PROJECT_BINARY_DIR}/duet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/duet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
