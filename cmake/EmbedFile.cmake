# As a script (cmake -DFROM=FILE -DTO=FILE.cpp -DHEADER=h -DNAME=name -P): writes a source that defines
# `const std::string_view NAME`, declared by HEADER in convoy::scheduler, with what FILE holds.
# As a module: convoy_embed(TARGET FILE HEADER NAME).
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${FROM} content)
  file(WRITE ${TO} "#include \"${HEADER}\"\n\nnamespace convoy::scheduler {\nconst std::string_view ${NAME} = R\"embedded(")
  file(APPEND ${TO} "${content}")
  file(APPEND ${TO} ")embedded\";\n}  // namespace convoy::scheduler\n")
  return()
endif()

set(CONVOY_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(convoy_embed target file header name)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${file}.cpp)
  add_custom_command(
    OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DFROM=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DTO=${source} -DHEADER=${header} -DNAME=${name}
            -P ${CONVOY_EMBED_SCRIPT}
    DEPENDS ${file} ${CONVOY_EMBED_SCRIPT}
    VERBATIM)
  target_sources(${target} PRIVATE ${source})
endfunction()
