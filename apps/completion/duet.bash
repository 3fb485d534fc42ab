# Completion of duet for bash. Install as duet in the completions folder of bash-completion, or source it.

_duet_connection_options="--ice-servers --relay --ca --tls-no-verify --mdns --tcp --ports --bind --no-loopback --no-ipv6 --no-offload --impair --pcap --keylog --events --verbose"

# The options of a command.
_duet_options()
{
    case $1 in
        inspect) echo "--format --roundtrip --compact --codec --extmap --sdp --password --key --help" ;;
        peer) echo "--data --audio --video --codec --echo --chan --no-trickle --restart --setup --timeout --name --help $_duet_connection_options" ;;
        perf)
            echo "--local --size --seconds --ping-seconds --connections --streams --fresh-certificates --json --help" \
                "$_duet_connection_options"
            ;;
        probe) echo "--user --password --timeout --json --help $_duet_connection_options" ;;
        echo)
            echo "--signaling --room --token --peer --message --size --count --channel --timeout --mux --once --quiet --json --help" \
                "$_duet_connection_options"
            ;;
        call)
            echo "--signaling --token --audio --video --loop --codec --record --seconds --timeout --peer --quiet --json --help" \
                "$_duet_connection_options"
            ;;
        signal)
            echo "--dev --listen --secret --key --jwks-url --authority-url --ca-file --audience --issuer --skew --origin" \
                "--tls-certificate --tls-key --ice-servers --turn-url --turn-secret --turn-ttl --redis --postgres --rooms-on-join" \
                "--connections --agent-connections --address-connections --rate --agent-rate --address-rate --room-rate --rooms" \
                "--participants --mesh-limit --grace --request-timeout --user --log-level --web --config --check-config --help"
            ;;
        turn)
            echo "--listen --tls --certificate --key --no-udp --no-tcp --user --users --secret --realm --relay --ports --allow-peer" \
                "--deny-peer --allocations --user-allocations --bandwidth --user-bandwidth --alternate --workers --metrics --drain" \
                "--json --verbose --help"
            ;;
        token) echo "--secret --key --kid --sub --perm --room --role --aud --iss --not-before --ttl --help" ;;
        utcp)
            echo "--tools --peer-id --signal --room --channel --token --secret --sub --timeout --stream --idempotent --via --json" \
                "--ice-servers --relay --ca --tls-no-verify --tcp --ports --bind --no-loopback --no-ipv6 --verbose --help"
            ;;
        *) echo "--help --version" ;;
    esac
}

# What follows a command besides its options.
_duet_words()
{
    case $1 in
        inspect) echo "sdp candidate stun channeldata sctp dcep dtls mdns turn-stream rfc4571 rtp rtcp payload file pcap" ;;
        peer | perf) echo "offer answer" ;;
        echo) echo "serve call" ;;
        utcp) echo "serve call list" ;;
    esac
}

# The values of an option: words to choose from, "file", "folder", or "other" for what only its user knows.
_duet_values()
{
    case $2 in
        --pcap | --keylog | --events | --sdp | --secret | --certificate | --users | --ca-file | --tls-certificate | --tls-key | --turn-secret | \
            --config) echo "file" ;;
        --web) echo "folder" ;;
        --format) echo "auto raw hex base64 pcap" ;;
        --setup) echo "active passive" ;;
        --log-level) echo "off error warn info debug" ;;
        --perm) echo "create join moderate" ;;
        --codec) [ "$1" = peer ] && echo "VP8 VP9 H264 H265 AV1 opus red PCMU PCMA" || echo "VP8 VP9 H264 H265 AV1 opus PCMU PCMA" ;;
        --audio | --video | --record) [ "$1" = call ] && echo "file" ;;
        --tools) echo "file" ;;
        --via) echo "channel signaling" ;;
        --peer-id | --signal | --extmap) echo "other" ;;
        --key) [ "$1" = inspect ] && echo "other" || echo "file" ;;
        --ice-servers | --ports | --bind | --impair | --password | --chan | --timeout | --name | --size | --seconds | --ping-seconds | \
            --connections | --streams | --signaling | --room | --token | --peer | --message | --count | --channel | --listen | --sub | \
            --role | --ttl | --kid | --aud | --iss | --not-before | --tls | --user | --realm | --relay | --allow-peer | --deny-peer | \
            --allocations | --user-allocations | --bandwidth | --user-bandwidth | --alternate | --workers | --metrics | --drain | --mux | \
            --jwks-url | --authority-url | --audience | --issuer | --skew | --origin | --turn-url | --turn-ttl | --redis | --postgres | \
            --agent-connections | --address-connections | --rate | --agent-rate | --address-rate | --room-rate | --rooms | \
            --participants | --mesh-limit | --grace | --request-timeout) echo "other" ;;
    esac
}

_duet()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    local values

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "inspect peer perf probe echo call signal token turn utcp $(_duet_options)" -- "$current"))
        return
    fi
    values=$(_duet_values "$command" "$previous")
    case $values in
        file) COMPREPLY=($(compgen -f -- "$current")) ;;
        folder) COMPREPLY=($(compgen -d -- "$current")) ;;
        other) ;;
        ?*) COMPREPLY=($(compgen -W "$values" -- "$current")) ;;
        *)
            if [ "$COMP_CWORD" -eq 2 ] || [[ $current == -* ]]; then
                COMPREPLY=($(compgen -W "$(_duet_words "$command") $(_duet_options "$command")" -- "$current"))
            else
                COMPREPLY=($(compgen -W "$(_duet_words "$command")" -f -- "$current"))
            fi
            ;;
    esac
}

complete -o filenames -F _duet duet
