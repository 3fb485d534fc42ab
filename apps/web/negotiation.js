// W3C WebRTC, "Perfect negotiation example": either side may begin, and the polite one takes back its own offer when two cross.

export class Negotiation {
  #pc;
  #polite;
  #say;             // (description) to the other side
  #note;
  #makingOffer = false;
  #offering = null;    // settles when our offer has been made
  #ignoreOffer = false;
  #ignored = null;     // the last such offer
  #last = Promise.resolve(); // what comes is taken in its order

  constructor(pc, { polite, sendDescription, sendCandidate, note }) {
    this.#pc = pc;
    this.#polite = polite;
    this.#say = sendDescription;
    this.#note = note;
    pc.onnegotiationneeded = () => { this.#offering = this.#offer(); };
    pc.onicecandidate = ({ candidate }) => sendCandidate(candidate ? candidate.toJSON() : { candidate: '' });
  }

  async #offer() {
    try {
      this.#makingOffer = true;
      await this.#pc.setLocalDescription();
      this.#say(this.#pc.localDescription);
    } catch (error) {
      if (this.#pc.signalingState !== 'closed') this.#note('error', error.message);
    } finally {
      this.#makingOffer = false;
    }
  }

  takeDescription(description) { return this.#inOrder(() => this.#apply(description)); }
  takeCandidate(candidate) { return this.#inOrder(() => this.#add(candidate)); }

  #inOrder(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #apply(description) {
    const pc = this.#pc;
    if (pc.signalingState === 'closed') return;
    const collision = description.type === 'offer' && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoreOffer = !this.#polite && collision;
    if (this.#ignoreOffer) {
      this.#ignored = description;
      return;
    }
    if (collision) await this.#takeBack(description);
    else await pc.setRemoteDescription(description);
    if (description.type !== 'offer') return;
    await pc.setLocalDescription();
    this.#say(pc.localDescription);
  }

  // Both in one go, so that no offer comes between them. Chromium may still hold the header extensions of the offer that was taken
  // back against the other one ("RTP extension ID reassignment"): then the call begins anew.
  async #takeBack(description) {
    const pc = this.#pc;
    await this.#offering;
    const back = pc.signalingState === 'have-local-offer' ? pc.setLocalDescription({ type: 'rollback' }) : null;
    await Promise.all([back, pc.setRemoteDescription(description)]);
  }

  // One of an offer that was ignored, or of a connection before this, is no loss.
  async #add(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoreOffer && this.#isOfNow(candidate)) this.#note('error', error.message);
    }
  }

  #isOfNow({ usernameFragment }) {
    const { signalingState, remoteDescription } = this.#pc;
    if (signalingState === 'closed') return false;
    return !usernameFragment || remoteDescription?.sdp.includes(`a=ice-ufrag:${usernameFragment}`);
  }

  // RFC 8866 section 5.2: another session id in an offer is another connection of the participant. Also after an offer that was
  // ignored: the other side could not take its own back, and began afresh.
  isAnother({ type, sdp }) {
    const session = (text) => /^o=\S+ (\S+)/m.exec(text)?.[1];
    const known = this.#ignored ?? this.#pc.remoteDescription;
    return type === 'offer' && known != null && session(known.sdp) !== session(sdp);
  }
}
