// Camera and microphone: our own, and a tile for each person who shows or says something.
import { $, element, initial, tell } from './dom.js';

const PROBLEMS = {
  NotFoundError: 'no camera or microphone was found',
  NotAllowedError: 'the browser was not allowed to use camera or microphone',
  NotReadableError: 'camera or microphone is used by another program',
  OverconstrainedError: 'no camera or microphone fits',
};

async function capture(wanted) {
  if (!navigator.mediaDevices) throw new Error('camera and microphone need a page over https, or from this machine');
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    throw new Error(PROBLEMS[error.name] ?? error.message);
  }
}

class Tile {
  constructor(name, own) {
    this.video = element('video', { autoplay: true, playsInline: true, muted: own });
    this.mark = element('span', { className: 'tile-muted', textContent: 'muted', hidden: true });
    this.hear = element('button', { className: 'primary hear', type: 'button', textContent: 'Turn sound on', hidden: true });
    this.hear.onclick = () => { this.video.muted = false; this.hear.hidden = true; };
    this.figure = element('figure', { className: `tile-video${own ? ' own' : ''}` },
      element('span', { className: 'avatar other big', textContent: initial(name), ariaHidden: 'true' }),
      this.video, this.hear,
      element('figcaption', {}, element('span', { textContent: own ? 'You' : name }), this.mark));
    this.video.setAttribute('aria-label', own ? 'your own picture' : `picture of ${name}`);
    this.own = own;
  }

  // Shows what is there of the stream. @return whether there is anything
  show(stream) {
    if (this.video.srcObject !== stream) {
      this.video.srcObject = stream;
      this.video.play().catch((error) => this.#blocked(error));
    }
    const pictures = stream.getVideoTracks().some((track) => track.readyState === 'live' && (this.own || !track.muted));
    this.figure.classList.toggle('dark', !pictures);
    return stream.getTracks().length > 0;
  }

  setMuted(muted) { this.mark.hidden = !muted; }

  // A page may not make a sound before somebody has used it.
  #blocked(error) {
    if (error.name !== 'NotAllowedError') return;
    this.video.muted = true;
    this.video.play().catch(() => {});
    this.hear.hidden = false;
  }
}

export class Call {
  #people;
  #stream = null;   // ours; null: not in the call
  #tiles = new Map(); // person, or null for ourselves -> Tile
  #muteOnEntry = false;
  #muted = false;
  #busy = false;
  #over = false;

  constructor(people) {
    this.#people = people;
    people.on('peer', (person) => this.#publishTo(person));
    people.on('track', ({ person, track, stream }) => this.#watch(person, track, stream));
    people.on('state', ({ person, muted }) => this.#tiles.get(person)?.setMuted(muted));
    people.on('over', (person) => this.#removeTile(person));
    $('join-voice').onclick = () => this.#busily(() => this.#join(false));
    $('join-video').onclick = () => this.#busily(() => this.#join(true));
    $('leave-call').onclick = () => this.leave();
    $('mute').onclick = () => this.#setMuted(!this.#muted);
    $('camera').onclick = () => this.#busily(() => this.#toggleCamera());
    $('tiles').replaceChildren();
    tell($('call-error'), null);
    this.#showBar();
  }

  // Of the room: { type, settings: { muteOnEntry } }
  apply({ type, settings }) {
    this.#muteOnEntry = settings?.muteOnEntry === true;
    $('join-video').classList.toggle('primary', type === 'video');
    $('join-video').classList.toggle('quiet', type !== 'video');
    $('join-voice').classList.toggle('primary', type !== 'video');
    $('join-voice').classList.toggle('quiet', type === 'video');
  }

  // The room has been left.
  close() {
    this.#over = true;
    this.leave();
  }

  leave() {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
      this.#publish(track.kind, null);
    }
    this.#stream = null;
    this.#removeTile(null);
    this.#showBar();
  }

  async #busily(work) {
    if (this.#busy) return;
    this.#busy = true;
    tell($('call-error'), null);
    try {
      await work();
    } catch (error) {
      tell($('call-error'), `It did not work: ${error.message}.`);
    }
    this.#busy = false;
    this.#showBar();
  }

  async #join(withCamera) {
    let stream;
    try {
      stream = await capture({ audio: true, video: withCamera });
    } catch (error) {
      if (!withCamera) throw error;
      stream = await capture({ audio: true }).catch(() => { throw error; });
      tell($('call-error'), `Without a picture: ${error.message}.`);
    }
    if (this.#over) {
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    this.#stream = stream;
    for (const track of stream.getTracks()) this.#publish(track.kind, track);
    this.#setMuted(this.#muteOnEntry);
  }

  async #toggleCamera() {
    const [track] = this.#stream.getVideoTracks();
    if (track) {
      track.stop();
      this.#stream.removeTrack(track);
      this.#publish('video', null);
    } else {
      const [added] = (await capture({ video: true })).getVideoTracks();
      this.#stream?.addTrack(added);
      if (this.#stream) this.#publish('video', added);
      else added.stop();
    }
    this.#showOwn();
  }

  #setMuted(muted) {
    this.#muted = muted;
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !muted;
    for (const { peer } of this.#people.connected) peer.sayState({ muted });
    this.#showOwn();
    this.#showBar();
  }

  #publish(kind, track) {
    for (const { peer } of this.#people.connected) peer.publish(kind, track, this.#stream);
  }

  #publishTo({ peer }) {
    if (!this.#stream) return;
    for (const track of this.#stream.getTracks()) peer.publish(track.kind, track, this.#stream);
    peer.sayState({ muted: this.#muted });
  }

  // ---- what it looks like ----

  #watch(person, track, stream) {
    const show = () => {
      if (person.peer && person.isLive && this.#tile(person).show(stream)) return this.#showBar();
      return this.#removeTile(person);
    };
    for (const type of ['mute', 'unmute', 'ended']) track.addEventListener(type, show);
    stream.onaddtrack = stream.onremovetrack = show;
    show();
  }

  #showOwn() {
    if (!this.#stream) return;
    const tile = this.#tile(null);
    tile.show(this.#stream);
    tile.setMuted(this.#muted);
  }

  #tile(person) {
    if (!this.#tiles.has(person)) {
      const tile = new Tile(person?.name ?? 'You', person === null);
      this.#tiles.set(person, tile);
      if (person === null) $('tiles').prepend(tile.figure);
      else $('tiles').append(tile.figure);
    }
    return this.#tiles.get(person);
  }

  #removeTile(person) {
    const tile = this.#tiles.get(person);
    if (tile) tile.video.srcObject = null;
    tile?.figure.remove();
    this.#tiles.delete(person);
    this.#showBar();
  }

  #showBar() {
    const inCall = this.#stream !== null;
    $('join-voice').hidden = $('join-video').hidden = inCall;
    $('mute').hidden = $('camera').hidden = $('leave-call').hidden = !inCall;
    $('no-call').hidden = this.#tiles.size > 0;
    $('tiles').dataset.count = this.#tiles.size;
    if (!inCall) return;
    $('mute').setAttribute('aria-pressed', this.#muted);
    $('camera').setAttribute('aria-pressed', this.#stream.getVideoTracks().length > 0);
  }
}
