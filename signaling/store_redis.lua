-- What the Redis store does to its keys: each operation is one run of this script, and so happens completely or not at all.
-- docs/signaling_stores.md tells the keys. ARGV: operation, prefix, node, number and repetition of the command (see `main`),
-- id of the Redis process, then what the operation takes. The first value of a reply is 0 or a DUET_ERR_....

local operation, prefix, me, number, again, run = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local NOMINAL = { STATE = -5, TOO_LARGE = -6, NOT_FOUND = -8, UNSUPPORTED = -9, AUTH = -10, LIMIT = -13 }
local LOG_MESSAGES, LOG_BYTES = 256, 131072
local PARTICIPANTS_MAX = 256
local REMEMBERED = 1024     -- outcomes of a node's latest commands; it never has more under way
local REMEMBERED_FOR = 600000 -- ms that they outlive a node that is taken for dead
local HEARD = 60000         -- ms that a new Redis knows what the one before has done
local TOMBSTONE = 60000     -- ms that a seat's log outlives the seat, for a node that was cut off when it left
local SWEEP_MAX = 1000      -- seats that one sweep removes; the next one continues
local NO_LIMIT = '256'      -- mesh limit of a room that nobody has joined

local call, encode = redis.call, cjson.encode

local function key(kind, id)
    return prefix .. kind .. ':' .. id
end

local clock = call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- ---- telling nodes: one PUBLISH for each node and run, so that a node hears all of a step or nothing ----

local batches, nodes = {}, {}

local function tell(node, kind, seat, seq, payload)
    if node == '' then
        return
    end
    local batch = batches[node]
    if not batch then
        batch = { number ~= '0' and 'C ' .. me .. ' ' .. number .. ' 0 \n' or nil }
        batches[node] = batch
        nodes[#nodes + 1] = node
    end
    batch[#batch + 1] = kind .. ' ' .. seat .. ' ' .. seq .. ' ' .. #payload .. ' ' .. payload .. '\n'
end

local function publish()
    for _, node in ipairs(nodes) do
        call('PUBLISH', key('node', node), table.concat(batches[node]))
    end
end

-- ---- seats ----

local function seat_of(id)
    local v = call('HMGET', key('seat', id), 'room', 'node', 'away', 'seq', 'agent', 'role', 'gone', 'run')
    if not v[1] or v[7] then
        return nil
    end
    return { id = id, room = v[1], node = v[2], away = v[3] == '1', seq = tonumber(v[4]), agent = v[5], role = v[6],
             run = v[8] }
end

local function seats_of(room)
    local list = {}
    for _, id in ipairs(call('ZRANGE', key('seats', room), 0, -1)) do
        list[#list + 1] = seat_of(id)
    end
    return list
end

-- Numbers a message, keeps it, and hands it to the seat's node when the seat is connected.
local function deliver(seat, text)
    local record, log = key('seat', seat.id), key('log', seat.id)
    seat.seq = call('HINCRBY', record, 'seq', 1)
    local count = call('RPUSH', log, text)
    local bytes = call('HINCRBY', record, 'bytes', #text)
    while count > 1 and (count > LOG_MESSAGES or bytes > LOG_BYTES) do
        bytes = call('HINCRBY', record, 'bytes', -#call('LPOP', log))
        count = count - 1
    end
    if not seat.away then
        tell(seat.node, 'M', seat.id, seat.seq, text)
    end
end

-- For the seat that is being taken: not through the channel, as the reply has it.
local function deliver_in_reply(seat, text)
    local away = seat.away
    seat.away = true
    deliver(seat, text)
    seat.away = away
end

-- The messages after `last`, as {number of the first, text, ...}; nil when the log does not go back that far.
local function missed(id, last, seq)
    local log = key('log', id)
    local count = call('LLEN', log)
    local first = seq - count + 1
    if last > seq or last + 1 < first then
        return nil
    end
    local list = call('LRANGE', log, last + 1 - first, -1)
    table.insert(list, 1, tostring(last + 1))
    return list
end

-- ---- rooms ----

local ROOM = { 'name', 'created_by', 'created_at', 'kind', 'max_participants', 'mute', 'record', 'max_duration', 'transient' }

local function room_fields(room)
    return call('HMGET', key('room', room), unpack(ROOM))
end

local function room_exists(room)
    return call('EXISTS', key('room', room)) == 1
end

local function set_expiry(room, created_at, max_duration)
    if tonumber(max_duration) > 0 then
        call('ZADD', prefix .. 'expiry', string.format('%.0f', tonumber(created_at) + 60 * tonumber(max_duration)), room)
    else
        call('ZREM', prefix .. 'expiry', room)
    end
end

local function make_room(room, fields)
    local pairs_ = { 'version', '0', 'mesh', NO_LIMIT, 'topology', '"topology":"mesh"' }
    for i, name in ipairs(ROOM) do
        pairs_[#pairs_ + 1] = name
        pairs_[#pairs_ + 1] = fields[i]
    end
    call('HSET', key('room', room), unpack(pairs_))
    call('SADD', prefix .. 'rooms', room)
    set_expiry(room, fields[3], fields[8])
end

local function forget_room(room)
    call('DEL', key('room', room), key('seats', room))
    call('SREM', prefix .. 'rooms', room)
    call('ZREM', prefix .. 'expiry', room)
end

local function each_node(list, fn)
    local seen = {}
    for _, seat in ipairs(list) do
        if not seen[seat.node] then
            seen[seat.node] = true
            fn(seat.node)
        end
    end
end

-- Nodes keep the roster of the rooms in which they have seats: what is needed should Redis come back empty.
local function roster_changed(room, list, kind, seat)
    local version = call('HINCRBY', key('room', room), 'version', 1)
    local payload = encode({ room = room, agent = seat.agent, role = seat.role })
    each_node(list, function(node)
        tell(node, kind, seat.id, version, payload)
    end)
end

local function user_json(seat)
    return '{"id":' .. encode(seat.id) .. ',"agentId":' .. encode(seat.agent) .. ',"role":' .. encode(seat.role) .. '}'
end

local function joined_text(seat)
    return '{"type":"user_joined","roomId":' .. encode(seat.room) .. ',"user":' .. user_json(seat) .. '}'
end

local function left_text(seat, reason)
    return '{"type":"user_left","roomId":' .. encode(seat.room) .. ',"id":' .. encode(seat.id) .. ',"reason":' ..
               encode(reason) .. '}'
end

-- Version, mesh limit, description and roster: what a node knows of a room.
local function snapshot(room)
    local state = call('HMGET', key('room', room), 'version', 'mesh')
    local roster = {}
    for _, seat in ipairs(seats_of(room)) do
        roster[#roster + 1] = seat.id
        roster[#roster + 1] = seat.agent
        roster[#roster + 1] = seat.role
    end
    return { state[1], state[2], room_fields(room), roster }
end

-- ---- topology ----

local function count_people(list)
    local people, sfu = 0, nil
    for _, seat in ipairs(list) do
        if seat.role == 'sfu' then
            sfu = sfu or seat.id
        else
            people = people + 1
        end
    end
    return people, sfu
end

local function topology_of(room, list)
    local people, sfu = count_people(list)
    if sfu and people > tonumber(call('HGET', key('room', room), 'mesh') or NO_LIMIT) then
        return '"topology":"sfu","sfu":' .. encode(sfu)
    end
    return '"topology":"mesh"'
end

local function settle_topology(room, list, newcomer)
    local topology = topology_of(room, list)
    if call('HGET', key('room', room), 'topology') == topology then
        return
    end
    call('HSET', key('room', room), 'topology', topology)
    for _, seat in ipairs(list) do
        if seat.id ~= newcomer then
            deliver(seat, '{"type":"topology","roomId":' .. encode(room) .. ',' .. topology .. '}')
        end
    end
end

-- ---- leaving ----

-- The seat has been told; its node learns that it is over. A connected one keeps its log for a while.
local function drop_seat(seat, reason)
    local record, log = key('seat', seat.id), key('log', seat.id)
    local hash = call('HGET', record, 'hash')
    tell(seat.node, 'R', seat.id, seat.seq, reason)
    call('ZREM', key('seats', seat.room), seat.id)
    call('ZREM', prefix .. 'grace', seat.id)
    if seat.node ~= '' then
        call('SREM', key('node-seats', seat.node), seat.id)
    end
    if hash and hash ~= '' then
        call('DEL', key('resume', hash))
    end
    if seat.away then
        call('DEL', record, log)
    else
        call('HSET', record, 'gone', reason)
        call('PEXPIRE', record, TOMBSTONE)
        call('PEXPIRE', log, TOMBSTONE)
    end
end

local function leave(seat, reason)
    local list, others = seats_of(seat.room), {}
    local text = left_text(seat, reason)
    for _, s in ipairs(list) do
        if s.id == seat.id then
            seat.seq = s.seq
            deliver(seat, text)
        else
            deliver(s, text)
            others[#others + 1] = s
        end
    end
    drop_seat(seat, reason)
    roster_changed(seat.room, list, 'L', seat)
    if #others == 0 and call('HGET', key('room', seat.room), 'transient') == '1' then
        forget_room(seat.room)
    else
        settle_topology(seat.room, others, nil)
    end
end

local function close_room(room, reason)
    for _, seat in ipairs(seats_of(room)) do
        deliver(seat, left_text(seat, reason))
        drop_seat(seat, reason)
    end
    forget_room(room)
end

local function set_away(seat, grace)
    seat.away = true
    call('HSET', key('seat', seat.id), 'away', '1')
    call('ZADD', prefix .. 'grace', string.format('%.0f', now + tonumber(grace)), seat.id)
end

local function set_connected(seat)
    seat.away = false
    seat.node = me
    call('HSET', key('seat', seat.id), 'away', '0', 'node', me, 'run', run)
    call('ZREM', prefix .. 'grace', seat.id)
    call('SADD', key('node-seats', me), seat.id)
end

-- ---- operations ----

local ops = {}

-- room, nine fields, largest number of rooms
function ops.room_create(room, ...)
    local fields = { ... }
    if room_exists(room) then
        return { NOMINAL.STATE }
    end
    if call('SCARD', prefix .. 'rooms') >= tonumber(fields[10]) then
        return { NOMINAL.LIMIT }
    end
    make_room(room, fields)
    return { 0 }
end

function ops.room_get(room)
    if not room_exists(room) then
        return { NOMINAL.NOT_FOUND }
    end
    return { 0, room_fields(room), call('ZCARD', key('seats', room)) }
end

function ops.room_list()
    local list = { 0 }
    for _, room in ipairs(call('SMEMBERS', prefix .. 'rooms')) do
        if room_exists(room) then
            list[#list + 1] = { room, room_fields(room), call('ZCARD', key('seats', room)) }
        end
    end
    return list
end

function ops.room_update(room, ...)
    local fields = { ... }
    if not room_exists(room) then
        return { NOMINAL.NOT_FOUND }
    end
    call('HSET', key('room', room), 'name', fields[1], 'kind', fields[4], 'max_participants', fields[5], 'mute', fields[6],
         'record', fields[7], 'max_duration', fields[8])
    set_expiry(room, call('HGET', key('room', room), 'created_at'), fields[8])
    each_node(seats_of(room), function(node)
        tell(node, 'U', '-', 0, room)
    end)
    return { 0 }
end

function ops.room_remove(room)
    if not room_exists(room) then
        return { NOMINAL.NOT_FOUND }
    end
    close_room(room, 'closed')
    return { 0 }
end

function ops.people(room)
    if not room_exists(room) then
        return { NOMINAL.NOT_FOUND }
    end
    local list = { 0 }
    for _, seat in ipairs(seats_of(room)) do
        list[#list + 1] = { seat.id, seat.agent, seat.role, call('HGET', key('seat', seat.id), 'joined') }
    end
    return list
end

-- What the node needs of a seat that it has got: its messages after `last`, and the room.
local function arrived(seat, last)
    local v = call('HMGET', key('seat', seat.id), 'joined', 'recv', 'turn')
    return { 0, seat.id, seat.agent, seat.role, v[1], seat.room, v[2], v[3], missed(seat.id, last, seat.seq) or { '0' },
             snapshot(seat.room) }
end

local function enter(seat, joined, hash)
    call('HSET', key('seat', seat.id), 'room', seat.room, 'node', seat.node, 'away', seat.away and '1' or '0', 'seq', '0',
         'bytes', '0', 'recv', '0', 'turn', '0', 'agent', seat.agent, 'role', seat.role, 'joined', joined, 'hash', hash, 'run', seat.run)
    call('ZADD', key('seats', seat.room), call('INCR', prefix .. 'order'), seat.id)
    if hash ~= '' then
        call('SET', key('resume', hash), seat.id)
    end
end

local function welcome_text(seat, list, request, members)
    local users = {}
    for _, s in ipairs(list) do
        users[#users + 1] = user_json(s)
    end
    return '{"type":"room_users"' .. (request ~= '' and ',"id":' .. encode(request) or '') .. ',"roomId":' ..
               encode(seat.room) .. ',"self":' .. encode(seat.id) .. ',"users":[' .. table.concat(users, ',') .. '],' ..
               topology_of(seat.room, list) .. (members ~= '' and ',' .. members or '') .. '}'
end

function ops.join(room, id, agent, role, joined, hash, mesh, request, members, make, max_rooms, ...)
    local seat = seat_of(id)
    local expected = seat and again == '1' and seat.run == ''
    if seat and not expected then -- this very command has been here before
        return again == '1' and seat.node == me and arrived(seat, 0) or { NOMINAL.STATE }
    end
    if expected then -- before Redis began anew; those who were told then have said so
        call('ZREM', key('seats', room), id)
        call('ZREM', prefix .. 'grace', id)
    end
    local there = room_exists(room)
    if not there and make ~= '1' then
        return { NOMINAL.NOT_FOUND }
    end
    if not there and call('SCARD', prefix .. 'rooms') >= tonumber(max_rooms) then
        return { NOMINAL.TOO_LARGE }
    end
    local list = there and seats_of(room) or {}
    local limit = tonumber(there and call('HGET', key('room', room), 'max_participants') or (select(5, ...)))
    local owner = there and call('HGET', key('room', room), 'created_by') or (select(2, ...))
    local people, sfu = count_people(list)
    if #list >= limit or #list >= PARTICIPANTS_MAX then
        return { NOMINAL.LIMIT }
    end
    if role ~= 'sfu' and people >= tonumber(mesh) and not sfu then
        return { NOMINAL.UNSUPPORTED }
    end
    if not there then
        make_room(room, { ... })
    end
    call('HSET', key('room', room), 'mesh', mesh)
    if role == '' then
        role = owner == agent and 'owner' or 'participant'
    end
    call('DEL', key('seat', id), key('log', id)) -- a tombstone, should an earlier run of this command have left one
    seat = { id = id, room = room, node = me, away = false, seq = 0, agent = agent, role = role, run = run }
    enter(seat, joined, hash)
    set_connected(seat)
    for _, s in ipairs(list) do
        if not expected then
            deliver(s, joined_text(seat))
        end
    end
    list[#list + 1] = seat
    roster_changed(room, list, 'J', seat)
    deliver_in_reply(seat, welcome_text(seat, list, request, members))
    settle_topology(room, list, id)
    return arrived(seat, 0)
end

-- A repeated resume finds the message that the first run has left.
local function welcome_back(seat, request)
    local text = '{"type":"resumed"' .. (request ~= '' and ',"id":' .. encode(request) or '') .. ',"roomId":' ..
                     encode(seat.room) .. ',"self":' .. encode(seat.id) .. ',"received":' ..
                     call('HGET', key('seat', seat.id), 'recv') .. '}'
    if again ~= '1' or call('LINDEX', key('log', seat.id), -1) ~= text then
        deliver_in_reply(seat, text)
    end
end

function ops.resume(hash, agent, last_seq, request)
    local id = call('GET', key('resume', hash))
    local seat = id and seat_of(id)
    local last = tonumber(last_seq)
    if not seat then
        return { NOMINAL.NOT_FOUND }
    end
    if seat.agent ~= agent then
        return { NOMINAL.AUTH }
    end
    if seat.node ~= me then
        tell(seat.node, 'X', id, call('HGET', key('seat', id), 'turn') + 1, '')
    end
    if seat.node ~= '' then
        call('SREM', key('node-seats', seat.node), id)
    end
    call('HINCRBY', key('seat', id), 'turn', 1)
    if call('HGET', key('seat', id), 'lost') == '1' or not missed(id, last, seat.seq) then
        seat.node, seat.away = '', true -- nobody to be told
        leave(seat, 'left')
        return { NOMINAL.LIMIT, id }
    end
    set_connected(seat)
    welcome_back(seat, request)
    return arrived(seat, last)
end

function ops.detach(id, grace)
    local seat = seat_of(id)
    if seat and seat.node == me then
        set_away(seat, grace)
    end
    return { 0 }
end

function ops.leave(id, reason)
    local seat = seat_of(id)
    if seat and seat.node == me then
        leave(seat, reason)
    end
    return { 0 }
end

function ops.kick(room, id)
    local seat = seat_of(id)
    if not seat or seat.room ~= room then
        return { NOMINAL.NOT_FOUND }
    end
    leave(seat, 'kicked')
    return { 0 }
end

local function is_repeated(seat, sent)
    return sent > 0 and sent <= tonumber(call('HGET', key('seat', seat.id), 'recv'))
end

function ops.relay(from, to, sent, text)
    local seat = seat_of(from)
    if not seat or seat.node ~= me then
        return { NOMINAL.NOT_FOUND }
    end
    if is_repeated(seat, tonumber(sent)) then
        return { 0 }
    end
    if to ~= '' then
        local other = to ~= from and seat_of(to)
        if not other or other.room ~= seat.room then
            return { NOMINAL.NOT_FOUND }
        end
        deliver(other, text)
    else
        for _, other in ipairs(seats_of(seat.room)) do
            if other.id ~= from then
                deliver(other, text)
            end
        end
    end
    if sent ~= '0' then
        call('HSET', key('seat', from), 'recv', sent)
    end
    return { 0 }
end

function ops.post(id, sent, text)
    local seat = seat_of(id)
    if seat and seat.node == me and not is_repeated(seat, tonumber(sent)) then
        deliver(seat, text)
        if sent ~= '0' then
            call('HSET', key('seat', id), 'recv', sent)
        end
    end
    return { 0 }
end

-- ---- nodes ----

-- Says that this node lives. The reply tells whether others had given it up.
function ops.beat(ttl)
    call('SET', key('node', me), '1', 'PX', ttl)
    return { 0, call('SADD', prefix .. 'nodes', me) }
end

function ops.hello(ttl)
    local info = call('INFO', 'server')
    call('PERSIST', key('done', me))
    local reply = ops.beat(ttl)
    reply[3] = string.match(info, 'run_id:(%w+)') or '-'
    return reply
end

-- A node that goes says so: its seats wait for their people at once.
function ops.goodbye(grace)
    for _, id in ipairs(call('SMEMBERS', key('node-seats', me))) do
        local seat = seat_of(id)
        if seat and seat.node == me and not seat.away then
            set_away(seat, grace)
        end
    end
    call('DEL', key('node', me), key('node-seats', me), key('done', me))
    call('SREM', prefix .. 'nodes', me)
    return { 0 }
end

local function bury(node, grace)
    for _, id in ipairs(call('SMEMBERS', key('node-seats', node))) do
        local seat = seat_of(id)
        if seat and seat.node == node and not seat.away then
            set_away(seat, grace)
        end
    end
    call('DEL', key('node-seats', node))
    call('PEXPIRE', key('done', node), REMEMBERED_FOR) -- it may have been cut off only
    call('SREM', prefix .. 'nodes', node)
end

-- Dead nodes, seats whose grace is over, rooms that have lasted long enough. Any node does it for all.
function ops.sweep(grace)
    for _, node in ipairs(call('SMEMBERS', prefix .. 'nodes')) do
        if call('EXISTS', key('node', node)) == 0 then
            bury(node, grace)
        end
    end
    for _, id in ipairs(call('ZRANGEBYSCORE', prefix .. 'grace', '-inf', string.format('%.0f', now), 'LIMIT', 0, SWEEP_MAX)) do
        local seat = seat_of(id)
        if seat then
            leave(seat, 'timeout')
        else
            call('ZREM', prefix .. 'grace', id)
        end
    end
    for _, room in ipairs(call('ZRANGEBYSCORE', prefix .. 'expiry', '-inf', clock[1], 'LIMIT', 0, SWEEP_MAX)) do
        close_room(room, 'expired')
    end
    return { 0 }
end

-- ---- a node compares what it knows ----

-- Redis is another process than the one that the node knew, and may know less: the node puts back what is missing. Everybody in
-- the node's roster is there afterwards, strangers as seats without a node, which their own node claims, or which time out.
local function restore(room, state)
    local present, unknown, fresh = {}, seats_of(room), {}
    if not room_exists(room) then
        make_room(room, state.fields)
        call('HSET', key('room', room), 'mesh', state.mesh)
    end
    if tonumber(call('HGET', key('room', room), 'version')) < state.version then
        call('HSET', key('room', room), 'version', string.format('%.0f', state.version))
    end
    for _, seat in ipairs(unknown) do
        present[seat.id] = true
    end
    for _, r in ipairs(state.roster) do
        if not present[r.id] and call('HEXISTS', key('seat', r.id), 'gone') == 0 then
            local seat = { id = r.id, room = room, node = '', away = true, seq = 0, agent = r.agent, role = r.role, run = '' }
            enter(seat, r.joined or '0', '')
            set_away(seat, state.grace)
            fresh[#fresh + 1] = seat
        end
    end
    for _, seat in ipairs(fresh) do
        for _, other in ipairs(unknown) do
            if other.run == run then -- others have it in their own node's roster, or will be told when they are claimed
                deliver(other, joined_text(seat))
            end
        end
        roster_changed(room, unknown, 'J', seat)
    end
end

-- A seat of this node that has not been seen since Redis began anew: messages that it got meanwhile follow those that the
-- node has, and it is told of those whom the node did not know.
local function claim(seat, mine, known, list)
    local record = key('seat', seat.id)
    local log = call('LRANGE', key('log', seat.id), 0, -1)
    local heard = {}
    if seat.run == '' then
        seat.seq = mine.seq + #log
    elseif seat.seq < mine.seq then
        seat.seq = mine.seq
        log = {}
        call('DEL', key('log', seat.id))
        call('HSET', record, 'bytes', '0')
    end
    for _, text in ipairs(log) do
        heard[text] = true
    end
    call('HSET', record, 'seq', string.format('%.0f', seat.seq), 'recv', string.format('%.0f', mine.recv), 'hash', mine.hash,
         'joined', string.format('%.0f', mine.joined), 'node', me, 'run', run)
    call('SET', key('resume', mine.hash), seat.id)
    call('SADD', key('node-seats', me), seat.id)
    seat.node = me
    seat.run = run
    if mine.away >= 0 then
        call('HSET', record, 'lost', '1') -- the node has not got what came while it was away
        set_away(seat, mine.away)
    else
        set_connected(seat)
    end
    for _, other in ipairs(list) do
        if not known[other.id] and not heard[joined_text(other)] then
            deliver_in_reply(seat, joined_text(other))
        end
    end
end

local function compare(mine)
    local seat = seat_of(mine.id)
    if not seat then
        local v = call('HMGET', key('seat', mine.id), 'gone', 'node', 'seq')
        if v[1] and v[2] == me then
            return { mine.id, 'gone', v[1], missed(mine.id, mine.seq, tonumber(v[3])) or { '0' } }
        end
        return { mine.id, 'gone', 'timeout', { '0' } }
    end
    if seat.node ~= me then
        return { mine.id, 'elsewhere', '', { '0' } }
    end
    if mine.away >= 0 then
        if not seat.away then
            set_away(seat, mine.away)
        end
        return { mine.id, 'away', '', { '0' } }
    end
    if seat.seq < mine.seq then
        seat.seq = mine.seq
        call('HSET', key('seat', seat.id), 'seq', string.format('%.0f', mine.seq), 'bytes', '0')
        call('DEL', key('log', seat.id))
    end
    set_connected(seat)
    local list = missed(seat.id, mine.seq, seat.seq)
    if list then
        return { mine.id, 'here', '', list }
    end
    leave(seat, 'timeout') -- more was missed than the log holds
    return { mine.id, 'gone', 'timeout', { '0' } }
end

-- room, state {fresh, grace, mesh, version, fields, roster, mine}: {0, comparison of each of mine, snapshot or nothing}
function ops.sync(room, text)
    local state = cjson.decode(text)
    local answers = {}
    if state.fresh and #state.mine > 0 then
        restore(room, state)
        local known, list = {}, seats_of(room)
        for _, r in ipairs(state.roster) do
            known[r.id] = true
        end
        for _, mine in ipairs(state.mine) do
            local seat = seat_of(mine.id)
            if seat and seat.run ~= run and (seat.node == '' or seat.node == me) then
                claim(seat, mine, known, list)
            end
        end
        settle_topology(room, seats_of(room), nil)
    end
    for i, mine in ipairs(state.mine) do
        answers[i] = compare(mine)
    end
    return { 0, answers, room_exists(room) and snapshot(room) or {} }
end

-- ---- commands come once ----

-- Commands whose effects a node has heard: Redis, begun anew, does not remember that it has carried them out.
function ops.heard(...)
    for _, command in ipairs({ ... }) do
        call('SADD', prefix .. 'heard', command)
    end
    call('PEXPIRE', prefix .. 'heard', HEARD)
    return { 0 }
end

-- A node numbers its commands, and repeats those whose reply it did not get when a connection broke. Joins and resumes know
-- themselves again; of all others the outcome is remembered.
local function remembered()
    if call('SISMEMBER', prefix .. 'heard', me .. ':' .. number) == 1 then
        return { 0 }
    end
    for _, entry in ipairs(call('LRANGE', key('done', me), 0, -1)) do
        local done, code = string.match(entry, '^(%d+) (-?%d+)$')
        if done == number then
            return { tonumber(code) }
        end
    end
    return nil
end

local function main()
    local itself = number == '0' or operation == 'join' or operation == 'resume'
    local reply = not itself and again == '1' and remembered() or nil
    if reply then
        return reply
    end
    reply = ops[operation](unpack(ARGV, 7))
    publish()
    if not itself then
        call('RPUSH', key('done', me), number .. ' ' .. reply[1])
        call('LTRIM', key('done', me), -REMEMBERED, -1)
    end
    return reply
end

return main()
