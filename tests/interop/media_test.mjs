// The media test of a page: sends a tone and the pattern with its frame counter, reads the counter of what arrives.
// It is sent into the page as text, so it must not use anything from outside itself.
export function makeMediaTest({ pc, audio, video, optional, minSeconds, minEstimate, onPassed }) {
  const rows = 4;
  const blocks = 16;
  const state = { countersRead: 0, countersBackward: 0, framesShown: 0, keyFrames: 0 };
  const started = performance.now();
  let lastCounter = -1;
  let early = null; // what was concealed in the first two seconds of sound does not count
  let passed = false;

  function crc8(counter) {
    let crc = 0;
    for (let bit = 23; bit >= 0; bit--) {
      const feed = ((counter >> bit) & 1) ^ ((crc >> 7) & 1);
      crc = ((crc << 1) & 0xff) ^ (feed ? 0x07 : 0);
    }
    return crc;
  }

  // The most significant bit first, eight in a row: white and black is 1, black and white is 0.
  function bitOf(counter, i) {
    return i < 24 ? (counter >> (23 - i)) & 1 : (crc8(counter) >> (31 - i)) & 1;
  }

  function draw(context, width, height, counter) {
    context.fillStyle = `rgb(90, ${100 + (counter % 50)}, 120)`;
    context.fillRect(0, 0, width, height);
    for (let i = 0; i < rows * blocks; i++) {
      const row = Math.floor(i / blocks);
      const column = i % blocks;
      const bit = bitOf(counter, i >> 1) === 1;
      const white = column % 2 === 0 ? bit : !bit;
      context.fillStyle = white ? 'white' : 'black';
      const x = Math.floor(column * width / blocks);
      const y = Math.floor(row * height / 16);
      context.fillRect(x, y, Math.floor((column + 1) * width / blocks) - x, Math.floor((row + 1) * height / 16) - y);
    }
    context.fillStyle = 'orange';
    context.fillRect((counter * 5) % (width - 40), height / 2, 40, 40);
  }

  // Nothing in it can be foretold: the encoder needs all that it may send.
  function drawNoise(context, width, height) {
    const noise = context.createImageData(width, height / 2);
    for (let i = 0; i < noise.data.length; i++) noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
    context.putImageData(noise, 0, height / 2);
  }

  function read(pixels, width, height) {
    let bits = [];
    const mean = (row, column) => {
      let sum = 0;
      let count = 0;
      const x0 = Math.floor((4 * column + 1) * width / (4 * blocks));
      const x1 = Math.floor((4 * column + 3) * width / (4 * blocks));
      const y0 = Math.floor((4 * row + 1) * height / 64);
      const y1 = Math.floor((4 * row + 3) * height / 64);
      for (let y = y0; y < y1 || y === y0; y++)
        for (let x = x0; x < x1 || x === x0; x++, count++) sum += pixels[(y * width + x) * 4 + 1];
      return sum / count;
    };
    for (let i = 0; i < rows * blocks; i += 2) {
      const row = Math.floor(i / blocks);
      const difference = mean(row, i % blocks) - mean(row, (i % blocks) + 1);
      if (Math.abs(difference) < 60) return null;
      bits.push(difference > 0 ? 1 : 0);
    }
    const counter = bits.slice(0, 24).reduce((n, bit) => n * 2 + bit, 0);
    const crc = bits.slice(24).reduce((n, bit) => n * 2 + bit, 0);
    return crc8(counter) === crc ? counter : null;
  }

  function patternTrack() {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 240;
    document.body.append(canvas);
    const context = canvas.getContext('2d');
    let counter = 0;
    const paint = () => {
      draw(context, canvas.width, canvas.height, counter++);
      if (minEstimate > 0) drawNoise(context, canvas.width, canvas.height);
    };
    paint();
    setInterval(paint, 40);
    return canvas.captureStream(25).getVideoTracks()[0];
  }

  function watch(track) {
    const element = document.createElement(track.kind);
    element.autoplay = true;
    element.muted = track.kind === 'video';
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
    element.play().catch((error) => console.log(`play: ${error}`));
    if (track.kind !== 'video') return;
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const look = () => {
      state.framesShown++;
      canvas.width = element.videoWidth;
      canvas.height = element.videoHeight;
      context.drawImage(element, 0, 0);
      const counter = read(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width, canvas.height);
      if (counter !== null) {
        if (counter < lastCounter) state.countersBackward++;
        lastCounter = counter;
        state.countersRead++;
      }
      element.requestVideoFrameCallback(look);
    };
    element.requestVideoFrameCallback(look);
  }

  async function count() {
    const sums = {};
    for (const s of (await pc.getStats()).values()) {
      if (s.type === 'inbound-rtp') {
        sums[`${s.kind}PacketsReceived`] = s.packetsReceived;
        if (s.kind === 'video') {
          sums.framesDecoded = s.framesDecoded;
          sums.framesReceived = s.framesReceived ?? s.framesDecoded;
          sums.keyFrames = s.keyFramesDecoded;
        } else {
          sums.audioEnergy = s.totalAudioEnergy;
          const heard = s.totalSamplesReceived ?? 0;
          if (!early && heard > 2 * 48000) early = { heard, concealed: s.concealedSamples };
          else if (early) sums.concealedAfter2s = (s.concealedSamples - early.concealed) / Math.max(1, heard - early.heard);
        }
      } else if (s.type === 'candidate-pair' && s.availableOutgoingBitrate) {
        state.maxOutgoingBitrate = Math.max(state.maxOutgoingBitrate ?? 0, s.availableOutgoingBitrate);
      } else if (s.type === 'outbound-rtp') {
        sums[`${s.kind}PacketsSent`] = s.packetsSent;
        if (s.kind === 'video') sums.framesSent = s.framesSent ?? s.framesEncoded;
      }
    }
    Object.assign(state, sums);
  }

  async function check() {
    await count();
    const enough = (!audio || state.audioPacketsReceived >= 50) &&
      (!video || (state.videoPacketsReceived >= 50 && state.framesDecoded >= 15)) && (state.maxOutgoingBitrate ?? 0) >= minEstimate;
    if (passed || !enough || performance.now() - started < minSeconds * 1000) return;
    passed = true;
    onPassed();
  }

  pc.addEventListener('track', ({ track }) => watch(track));

  return {
    state,
    count,
    hasPassed: () => passed || optional || (!audio && !video),
    async addTracks() {
      const stream = new MediaStream();
      if (audio) stream.addTrack((await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0]);
      if (video) stream.addTrack(patternTrack());
      for (const track of stream.getTracks()) pc.addTrack(track, stream);
      if (audio || video) setInterval(check, 200);
    },
  };
}
