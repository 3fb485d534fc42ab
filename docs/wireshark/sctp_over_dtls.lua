-- Lets Wireshark and tshark look for SCTP in decrypted DTLS, as data channels have it (RFC 8261):
--   tshark -X lua_script:sctp_over_dtls.lua -o sctp.tsn_analysis:FALSE -r call.pcapng
-- Captures that duet writes hold each SCTP packet twice, inside DTLS and plain; without the second option the later one
-- of the two counts as a retransmission and its messages are not shown.
DissectorTable.get("dtls.port"):add("1-65535", Dissector.get("sctp"))
