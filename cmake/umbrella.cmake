# The umbrella target duet::duet: everything but the tool and the signaling server in one library, and the install rules.
add_library(duet_duet INTERFACE)
add_library(duet::duet ALIAS duet_duet)
set_target_properties(duet_duet PROPERTIES EXPORT_NAME duet)
target_link_libraries(duet_duet INTERFACE duet_peer duet_net)
