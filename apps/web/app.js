// The page: lobby, room or admin view. The fragment of the address says which: "", "#room=…" or "#admin"; with a token in it, that
// is kept for this tab and taken out of the address.
import { $ } from './dom.js';
import { Admin } from './admin.js';
import { Lobby } from './lobby.js';
import { Room } from './room.js';
import { savedToken, saveToken } from './token.js';

const lobby = new Lobby();
const admin = new Admin();
let room = null;

function setAddress(fragment) {
  history.replaceState(null, '', fragment ? `#${fragment}` : location.pathname);
}

function show(view) {
  document.body.dataset.view = view;
  $('nav').hidden = view === 'room';
  for (const [id, name] of [['to-lobby', 'lobby'], ['to-admin', 'admin']]) {
    if (name === view) $(id).setAttribute('aria-current', 'page');
    else $(id).removeAttribute('aria-current');
  }
}

function showLobby(options) {
  room = null;
  admin.close();
  document.title = 'Duet';
  show('lobby');
  lobby.open(options);
}

async function join({ id, token }) {
  if (room) return;
  const entering = new Room({ id, token });
  room = entering;
  entering.on('over', (problem) => {
    if (room !== entering) return;
    setAddress('');
    showLobby({ room: id, problem });
  });
  try {
    await entering.enter();
  } catch (error) {
    if (room === entering) showLobby({ room: id, problem: error.message });
    return;
  }
  lobby.close();
  admin.close();
  show('room');
  setAddress(`room=${encodeURIComponent(id)}`);
}

function route() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const [token, wanted] = [fragment.get('token'), fragment.get('room')];
  if (token) {
    saveToken(token);
    fragment.delete('token');
    setAddress(fragment.toString().replace(/=$/, ''));
  }
  if (room?.id === wanted && wanted !== null) return;
  const before = room;
  room = null; // so that leaving it changes nothing here
  before?.leave();
  if (fragment.has('admin')) {
    lobby.close();
    show('admin');
    admin.open();
    return;
  }
  showLobby({ room: wanted ?? undefined });
  if (wanted && savedToken()) join({ id: wanted, token: savedToken() });
}

lobby.on('join', join);
addEventListener('hashchange', route);
addEventListener('pagehide', () => room?.leave()); // otherwise the seat would wait for the page to come back
// A file that misses its place must not take the page away.
for (const type of ['dragover', 'drop']) addEventListener(type, (event) => event.preventDefault());
route();
