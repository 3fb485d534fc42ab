// What the comparison with `ws` (npm) runs: a relay that keeps rooms and passes messages on to the one they are for, without
// a check of tokens, descriptions, candidates or rates.
import { createRequire } from 'node:module';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(join(dirname(fileURLToPath(import.meta.url)), '../tests/interop/package.json'));
const { WebSocketServer } = require('ws');
const rooms = new Map(), seats = new Map();
const say = (socket, message) => socket.send(JSON.stringify({ ...message, seq: ++socket.seq }));

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws', maxPayload: 65536, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.seq = 0;
  socket.on('error', () => {});
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    switch (message.type) {
      case 'authenticate': socket.send('{"type":"auth_ok","agentId":"load"}'); break;
      case 'join_room': {
        const room = rooms.get(message.roomId) ?? [];
        rooms.set(message.roomId, room);
        socket.id = randomBytes(16).toString('base64url');
        for (const other of room) say(other, { type: 'user_joined', roomId: message.roomId, user: { id: socket.id } });
        room.push(socket);
        seats.set(socket.id, socket);
        socket.room = room;
        say(socket, { type: 'room_users', roomId: message.roomId, self: socket.id, users: room.map(({ id }) => ({ id })) });
        break;
      }
      default: {
        const to = seats.get(message.to);
        if (to?.room !== socket.room) break;
        delete message.to;
        say(to, { ...message, from: socket.id });
      }
    }
  });
  socket.on('close', () => { seats.delete(socket.id); socket.room?.splice(socket.room.indexOf(socket), 1); });
});
server.on('listening', () => console.log(JSON.stringify({ port: server.address().port })));
