#!/bin/sh
# Answers each message with how long the machine has been up: a program that keeps no state.
#
# The node writes one request a line, with its members in this order: jsonrpc, id, method, params. To take the id out is
# all that is needed here; what reads messages should have a JSON parser.

while IFS= read -r request; do
    id=${request#'{"jsonrpc":"2.0","id":'}
    id=${id%%,*}
    case $request in
    '{"jsonrpc":"2.0","id":'"$id"',"method":"compute"'*)
        up=$(uptime -p 2>/dev/null || uptime) || up=unknown
        result="{\"Output\":\"$(printf %s "$up" | tr -d '"\\' | tr -s '[:space:]' ' ')\"}"
        printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
        ;;
    '{"jsonrpc":"2.0","id":'"$id"',"method":"ping"'*)
        printf '{"jsonrpc":"2.0","id":%s,"result":"pong"}\n' "$id"
        ;;
    *)
        # init, snapshot and restore are for those who have use for them.
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id"
        ;;
    esac
done
