// The page: joining, the people in the room, and what there is to see of the connection that is chosen.
import { Chart } from './chart.js';
import { Peer } from './peer.js';
import { Room } from './room.js';

const $ = (id) => document.getElementById(id);
const fragment = new URLSearchParams(location.hash.slice(1));
const people = new Map(); // id -> { user, peer, item, notes, messages, figures }
let room = null;
let chosen = null;

const rttChart = new Chart($('rtt-chart'), { series: ['a'], length: 120, unit: 'ms' });
const rateChart = new Chart($('rate-chart'), { series: ['a', 'b'], length: 48, grid: true, unit: 'Mbit/s' });

// ---- small helpers ----

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i === 0 ? n : n.toFixed(n < 10 ? 2 : 1)} ${units[i]}`;
}

const short = (id) => id.slice(0, 6);
const initial = (name) => [...name][0]?.toUpperCase() ?? '?';
const milliseconds = (ms) => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0));

function mood(state) {
  if (state === 'connected' || state === 'completed' || state === 'open' || state === 'online') return 'good';
  if (state === 'failed' || state === 'closed' || state === 'error') return 'bad';
  return state === 'new' || state === 'offline' ? '' : 'wait';
}

function setPill(pill, state) {
  pill.textContent = state;
  pill.className = `pill ${mood(state)}`;
}

// ---- joining and leaving ----

async function join(name, token) {
  $('join-error').hidden = true;
  room = new Room();
  listen(room);
  setPill($('signaling-state'), 'connecting');
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
  let users;
  try {
    users = await room.join({ url, token, room: name });
  } catch (error) {
    $('token-label').hidden = false;
    showJoin(error.message);
    return;
  }
  sessionStorage.setItem('duet-token', token);
  history.replaceState(null, '', `#room=${encodeURIComponent(name)}`); // the token stays out of bookmarks and screen shots
  $('join-card').hidden = true;
  $('room-view').hidden = $('where').hidden = false;
  $('room-name').textContent = name;
  document.title = `${name} – Duet`;
  setPill($('signaling-state'), 'online');
  const command = `duet echo serve --room ${name} --signaling ${url.replace(/\/ws$/, '')}`;
  $('command').textContent = command;
  $('copy').onclick = () => navigator.clipboard.writeText(`${command} --token ${token}`);
  for (const user of users) addPerson(user);
}

function showJoin(message) {
  for (const id of [...people.keys()]) removePerson(id);
  room = null;
  $('room-view').hidden = $('where').hidden = true;
  $('join-card').hidden = false;
  $('join-error').textContent = message ?? '';
  $('join-error').hidden = !message;
  document.title = 'Duet';
}

function listen(r) {
  r.addEventListener('joined', ({ detail }) => addPerson(detail, true));
  r.addEventListener('left', ({ detail }) => {
    if (detail.id !== r.self) removePerson(detail.id, detail.reason);
  });
  r.addEventListener('description', ({ detail }) => onDescription(detail));
  r.addEventListener('candidate', ({ detail }) => people.get(detail.from)?.peer?.takeCandidate(detail.candidate));
  r.addEventListener('refused', ({ detail }) => chosen && note(chosen, { what: 'server', state: detail.message ?? detail.code, at: 0 }));
  r.addEventListener('closed', ({ detail }) => {
    if (r === room) showJoin(`The connection to the server ended: ${detail.reason || `code ${detail.code}`}`);
  });
}

// ---- people ----

function addPerson(user, fresh = false) {
  const own = user.id === room.self;
  const person = { user, peer: null, notes: [], messages: [], figures: null, gone: false };
  person.dot = element('span', { className: 'dot' });
  person.button = element('button', { className: 'quiet', type: 'button', textContent: 'Connect' });
  person.button.onclick = () => connect(person);
  person.item = element('li', { className: `person${fresh ? ' fresh' : ''}` },
    element('span', { className: `avatar${own ? '' : ' other'}`, textContent: initial(user.agentId) }),
    element('span', { className: 'grow' },
      element('strong', { textContent: own ? `${user.agentId} (you)` : user.agentId }),
      element('small', { textContent: `${short(user.id)} · ${user.role}` })));
  if (!own) person.item.append(person.dot, person.button);
  person.item.dataset.id = user.id;
  people.set(user.id, person);
  $('people').append(person.item);
  countPeople();
}

function removePerson(id) {
  const person = people.get(id);
  if (!person) return;
  person.gone = true;
  person.peer?.close();
  person.item.remove();
  people.delete(id);
  if (chosen === person) choose(null);
  countPeople();
}

function countPeople() {
  $('people-count').textContent = people.size;
  $('alone').hidden = people.size > 1;
}

// ---- connections ----

function makePeer(person) {
  const peer = new Peer(room, person.user);
  person.peer = peer;
  person.notes = [];
  person.figures = null;
  peer.addEventListener('note', ({ detail }) => note(person, detail));
  peer.addEventListener('stuck', () => { if (person.peer === peer) callAnew(person); });
  peer.addEventListener('message', ({ detail }) => addMessage(person, { mine: false, ...detail }));
  peer.addEventListener('figures', ({ detail }) => {
    person.figures = detail;
    if (person === chosen) showFigures(detail);
  });
  return peer;
}

function callAnew(person) {
  person.peer?.close();
  makePeer(person).call();
}

function connect(person) {
  if (!person.peer || person.peer.state === 'closed' || person.peer.state === 'failed') callAnew(person);
  choose(person);
}

function hangUp(person) {
  person.peer?.close();
  person.peer = null;
  showPersonState(person);
}

async function onDescription(message) {
  const person = people.get(message.from);
  if (!person) return;
  if (person.peer?.isAnother(message)) person.peer.close();
  const peer = !person.peer || person.peer.state === 'closed' ? makePeer(person) : person.peer;
  try {
    await peer.takeDescription({ type: message.type, sdp: message.sdp });
  } catch (error) {
    note(person, { what: 'error', state: error.message, at: performance.now() - peer.since });
  }
  if (!chosen) choose(person);
}

function note(person, entry) {
  person.notes.push(entry);
  showPersonState(person);
  if (person === chosen) showNote(entry);
}

function showPersonState(person) {
  const state = person.peer?.state ?? 'new';
  person.dot.className = `dot ${mood(state)}`;
  person.button.textContent = person.peer && state !== 'closed' && state !== 'failed' ? 'Show' : 'Connect';
  if (person !== chosen) return;
  setPill($('peer-state'), state);
  $('send').disabled = !person.peer?.canChat;
  $('measure').disabled = state !== 'connected' || measuring;
  $('restart').disabled = $('hang-up').disabled = !person.peer;
}

// ---- the chosen one ----

function choose(person) {
  chosen = person;
  $('peer-view').hidden = !person;
  $('nobody').hidden = Boolean(person);
  for (const { item, user } of people.values()) item.classList.toggle('chosen', user === person?.user);
  if (!person) return;
  $('peer-name').textContent = person.user.agentId;
  $('peer-id').textContent = person.user.id;
  $('peer-avatar').textContent = initial(person.user.agentId);
  $('peer-avatar').className = 'avatar other';
  $('timeline').replaceChildren();
  $('log').replaceChildren();
  rttChart.clear();
  rateChart.clear();
  person.notes.forEach(showNote);
  person.messages.forEach(showMessage);
  showFigures(person.figures ?? { rtt: null, sent: 0, received: 0, path: null, security: null });
  showPersonState(person);
}

function showNote({ what, state, at }) {
  const item = element('li', { className: mood(state) },
    element('time', { textContent: `${(at / 1000).toFixed(3)} s` }),
    element('span', {}, `${what} `, element('b', { textContent: state })));
  $('timeline').append(item);
  item.scrollIntoView({ block: 'nearest' });
}

function showFigures({ rtt, sent, received, path, security }) {
  $('rtt').textContent = rtt == null ? '–' : milliseconds(rtt);
  $('sent').textContent = bytes(sent);
  $('received').textContent = bytes(received);
  $('path').textContent = path ?? '–';
  $('security').textContent = security ?? '–';
  if (rtt != null) rttChart.push(rtt);
}

// ---- chat ----

function addMessage(person, message) {
  person.messages.push(message);
  if (person.messages.length > 500) person.messages.shift();
  if (person === chosen) showMessage(message);
}

function showMessage({ mine, text, echo }) {
  const item = element('li', { className: mine ? 'mine' : 'theirs', textContent: text });
  if (echo != null) item.append(element('small', { textContent: `echo after ${echo.toFixed(1)} ms` }));
  $('log').append(item);
  $('log').scrollTop = $('log').scrollHeight;
}

$('chat-form').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value;
  if (!text || !chosen?.peer?.canChat) return;
  addMessage(chosen, { mine: true, text, echo: null });
  chosen.peer.say(text);
  $('text').value = '';
};

// ---- throughput ----

let measuring = false;

async function measure(person) {
  measuring = true;
  showPersonState(person);
  rateChart.clear();
  $('measure-result').textContent = 'Measuring …';
  const show = ({ out, back }) => {
    $('rate-out').textContent = out.toFixed(0);
    $('rate-in').textContent = back.toFixed(0);
  };
  try {
    const total = await person.peer.measure((rates) => { show(rates); rateChart.push(rates.out, rates.back); });
    show(total);
    $('measure-result').textContent =
      `On average ${total.out.toFixed(0)} Mbit/s out and ${total.back.toFixed(0)} Mbit/s back, over ${total.seconds.toFixed(1)} s.`;
  } catch (error) {
    $('measure-result').textContent = `It did not work: ${error.message}`;
  }
  measuring = false;
  showPersonState(person);
}

$('measure').onclick = () => chosen?.peer && measure(chosen);
$('restart').onclick = () => chosen?.peer?.restart();
$('hang-up').onclick = () => chosen && hangUp(chosen);
$('leave').onclick = () => { const r = room; showJoin(); r?.leave(); };

// ---- start ----

$('join-form').onsubmit = (event) => {
  event.preventDefault();
  join($('room').value.trim(), $('token').value.trim());
};

$('token').value = fragment.get('token') ?? sessionStorage.getItem('duet-token') ?? '';
$('token-label').hidden = $('token').value !== '';
$('room').value = fragment.get('room') ?? 'demo';
if (fragment.get('room') && $('token').value) join(fragment.get('room'), $('token').value);
