# convoy_proto(MODULE FILE.proto): compiles a message file of the calling folder into the library MODULE.
#
# It becomes an object library of its own: generated code is nobody's to fix, so it is compiled without our warnings,
# and its header counts as a system header, for MODULE's sources alone.
function(convoy_proto module proto)
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  get_filename_component(name ${proto} NAME_WE)
  set(generated ${CMAKE_BINARY_DIR}/generated)
  set(stem ${generated}/${folder}/${name}.pb)
  file(MAKE_DIRECTORY ${generated})
  add_custom_command(
    OUTPUT ${stem}.cc ${stem}.h
    COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=${generated} ${folder}/${proto}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} protobuf::protoc
    VERBATIM)
  set(objects ${module}_${name})
  add_library(${objects} OBJECT ${stem}.cc ${stem}.h)
  target_include_directories(${objects} SYSTEM PUBLIC ${generated})
  target_link_libraries(${objects} PRIVATE protobuf::libprotobuf)
  target_compile_options(${objects} PRIVATE -w)

  target_sources(${module} PRIVATE $<TARGET_OBJECTS:${objects}>)
  target_include_directories(${module} SYSTEM PRIVATE ${generated})
  target_link_libraries(${module} PRIVATE protobuf::libprotobuf)
  add_dependencies(${module} ${objects})
endfunction()
