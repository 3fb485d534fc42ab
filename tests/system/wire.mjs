// Wire formats for the tests, made by hand: packets, captures, checksums.
export const bytes = (...parts) => Buffer.concat(parts.map((part) =>
  typeof part === 'string' ? Buffer.from(part.replace(/\s/g, ''), 'hex') : Buffer.from(part)));
export const u16 = (...values) => Buffer.from(values.flatMap((v) => [v >> 8 & 255, v & 255]));
export const u32 = (...values) => Buffer.from(values.flatMap((v) => [v >>> 24, v >>> 16 & 255, v >>> 8 & 255, v & 255]));

// The example request of RFC 5769, 2.1; its password is below.
export const stunRequest = bytes(`
  00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74
  00 24 00 04 6e 00 01 ff
  80 29 00 08 93 2f f9 b1 51 26 3b 36
  00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20
  00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2
  80 28 00 04 e5 7a 3b cf`);
export const stunPassword = 'VOkJxbRl1RmTxUk/WvJxBt';

// An SCTP packet of these chunks. The checksum is CRC32c, least significant byte first (RFC 9260, appendix A).
export function sctpPacket(...chunks) {
  const packet = bytes(u16(5000, 5000), u32(0x12345678), u32(0), ...chunks);
  let crc = 0xffffffff;
  for (const byte of packet) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? crc >>> 1 ^ 0x82f63b78 : crc >>> 1;
  }
  packet.writeUInt32LE((crc ^ 0xffffffff) >>> 0, 8);
  return packet;
}

// Type, flags, length, value, padding.
export function chunk(type, flags, value) {
  return bytes([type, flags], u16(value.length + 4), value, Buffer.alloc((4 - value.length % 4) % 4));
}

export function dcepOpen(label, protocol = '', { type = 0, priority = 256, reliability = 0 } = {}) {
  const [a, b] = [Buffer.from(label), Buffer.from(protocol)];
  return bytes([3, type], u16(priority), u32(reliability), u16(a.length, b.length), a, b);
}

export function udp(payload, from = 1000, to = 2000) {
  return bytes(u16(from, to, payload.length + 8, 0), payload);
}

export function ipv4(payload, protocol = 17) {
  return bytes([0x45, 0], u16(payload.length + 20), u32(0), [64, protocol, 0, 0], [192, 0, 2, 1], [192, 0, 2, 2], payload);
}

export function ipv6(payload, next = 17) {
  return bytes('60000000', u16(payload.length), [next, 64], '20010db8000000000000000000000001',
    '20010db8000000000000000000000002', payload);
}

// A pcap file; the byte order and the unit of time are those of the magic number.
export function pcap(linktype, frames, { bigEndian = false, nano = false } = {}) {
  const word = (v) => {
    const b = Buffer.alloc(4);
    bigEndian ? b.writeUInt32BE(v >>> 0) : b.writeUInt32LE(v >>> 0);
    return b;
  };
  const version = bigEndian ? u16(2, 4) : Buffer.from([2, 0, 4, 0]);
  return bytes(word(nano ? 0xa1b23c4d : 0xa1b2c3d4), version, word(0), word(0), word(65535), word(linktype),
    ...frames.map((frame) => bytes(word(1700000000), word(nano ? 500000000 : 500000), word(frame.length), word(frame.length), frame)));
}
