// Figures of one connection, from getStats of the W3C's "Identifiers for WebRTC's Statistics API".

const DTLS_NAMES = { FEFF: 'DTLS 1.0', FEFD: 'DTLS 1.2', FEFC: 'DTLS 1.3' }; // the versions on the wire

function securityText(transport) {
  if (transport?.dtlsState !== 'connected') return null;
  const cipher = transport.dtlsCipher?.replace(/^TLS_.*_WITH_/, '').replaceAll('_', ' ');
  return [DTLS_NAMES[transport.tlsVersion] ?? 'DTLS', cipher].filter(Boolean).join(' · ');
}

function selectedPair(report, all, transport) {
  return report.get(transport?.selectedCandidatePairId) ??
    all.find((s) => s.type === 'candidate-pair' && (s.selected || (s.nominated && s.state === 'succeeded')));
}

const sum = (list, read) => list.reduce((total, s) => total + (read(s) ?? 0), 0);
const mean = (list) => (list.length > 0 ? list.reduce((a, b) => a + b, 0) / list.length : null);
const perSecond = (now, before, seconds) => (before === undefined ? null : Math.max(0, (now - before) * 8) / seconds);

export class Stats {
  #pc;
  #last = null;

  constructor(pc) { this.#pc = pc; }

  // Rates and losses are those since the last call: bit/s, and parts of one.
  async read() {
    const report = await this.#pc.getStats();
    const all = [...report.values()];
    const transport = all.find((s) => s.type === 'transport');
    const pair = selectedPair(report, all, transport);
    const now = this.#counts(all, pair);
    const before = this.#last ?? {};
    const seconds = Math.max(0.001, (now.at - (before.at ?? now.at)) / 1000);
    const same = before.pair === now.pair ? before : {};
    this.#last = now;
    return {
      rtt: this.#roundTrip(all, pair),
      sent: now.sent, received: now.received,
      bitrateOut: perSecond(now.sent, same.sent, seconds),
      bitrateIn: perSecond(now.received, same.received, seconds),
      lossOut: mean(all.filter((s) => s.type === 'remote-inbound-rtp' && s.fractionLost != null).map((s) => s.fractionLost)),
      lossIn: this.#lossIn(now, before),
      path: this.#path(report, pair),
      security: securityText(transport),
    };
  }

  #counts(all, pair) {
    const inbound = all.filter((s) => s.type === 'inbound-rtp');
    return {
      at: performance.now(), pair: pair?.id, streams: inbound.length,
      sent: pair?.bytesSent ?? 0, received: pair?.bytesReceived ?? 0,
      packets: sum(inbound, (s) => s.packetsReceived), lost: sum(inbound, (s) => s.packetsLost),
    };
  }

  #roundTrip(all, pair) {
    if (pair?.currentRoundTripTime != null) return pair.currentRoundTripTime * 1000;
    const remote = all.find((s) => s.type === 'remote-inbound-rtp' && s.roundTripTime != null);
    return remote ? remote.roundTripTime * 1000 : null;
  }

  #lossIn(now, before) {
    if (now.streams === 0 || before.packets === undefined) return null;
    const lost = Math.max(0, now.lost - before.lost);
    const all = lost + Math.max(0, now.packets - before.packets);
    return all > 0 ? lost / all : 0;
  }

  #path(report, pair) {
    const local = report.get(pair?.localCandidateId);
    const remote = report.get(pair?.remoteCandidateId);
    return local && remote ? `${local.candidateType} → ${remote.candidateType} · ${local.protocol.toUpperCase()}` : null;
  }
}
