# convoy_proto(MODULE FILE.proto [FROM FOLDER]): compiles a message file of the calling folder into the library MODULE;
# with FROM, one that an outside package keeps in FOLDER.
#
# It becomes an object library of its own: generated code is nobody's to fix, so it is compiled without our warnings,
# and its header counts as a system header, for MODULE's sources alone.
function(convoy_proto module proto)
  cmake_parse_arguments(arg "" "FROM" "" ${ARGN})
  set(root ${CMAKE_SOURCE_DIR})
  file(RELATIVE_PATH file ${root} ${CMAKE_CURRENT_SOURCE_DIR}/${proto})
  if(arg_FROM)
    set(root ${arg_FROM})
    set(file ${proto})
  endif()
  string(REGEX REPLACE "\\.proto$" "" stem ${file})
  get_filename_component(name ${stem} NAME)
  set(generated ${CMAKE_BINARY_DIR}/generated)
  set(stem ${generated}/${stem}.pb)
  file(MAKE_DIRECTORY ${generated})
  add_custom_command(
    OUTPUT ${stem}.cc ${stem}.h
    COMMAND protobuf::protoc --proto_path=${root} --cpp_out=${generated} ${file}
    DEPENDS ${root}/${file} protobuf::protoc
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
