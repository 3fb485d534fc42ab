#!/usr/bin/python3
"""Whether FFmpeg's demultiplexers (PyAV) find in a folder of media files what Duet wrote. By hand:

mkdir /tmp/files && DUET_FILES_DIR=/tmp/files build/asan/tests/unit_media_files_trip && tests/system/media_files_check.py /tmp/files
"""
import os
import sys

import av  # Debian: python3-av

av.logging.set_level(av.logging.PANIC)
folder = sys.argv[1]
failed = 0
for name in sorted(os.listdir(folder)):
    count = int(name.rsplit('.', 1)[0].rsplit('-', 1)[1])
    is_sampled = name.endswith('.wav')  # read in blocks of another size
    try:
        with av.open(os.path.join(folder, name)) as container:
            packets = [p for p in container.demux() if p.size > 0]
            times = {}
            for p in packets:
                if p.pts is not None:
                    times.setdefault(p.stream.index, []).append(p.pts)
            ok = (is_sampled or len(packets) == count) and all(t == sorted(t) for t in times.values())
            codecs = ' '.join(s.codec_context.name for s in container.streams if s.codec_context)
    except (av.AVError, ValueError) as e:
        ok, packets, codecs = False, [], e
    failed += not ok
    print('ok ' if ok else 'BAD', name, container.format.name, codecs, len(packets), 'packets')
sys.exit(1 if failed else 0)
