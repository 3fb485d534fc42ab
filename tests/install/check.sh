#!/usr/bin/env bash
# Installs a build into a folder and uses it as others would: through CMake, through pkg-config, static and shared, and
# each public header alone as C11 and as C++17.
#   check.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

for kind in OFF ON; do
    prefix="$work/prefix-$kind"
    cmake -S . -B "$build-install-$kind" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=$kind -DDUET_TESTS=OFF \
        -DDUET_APPS=OFF -DDUET_SIGNALING=OFF -DCMAKE_INSTALL_PREFIX="$prefix" >/dev/null
    cmake --build "$build-install-$kind" >/dev/null
    cmake --install "$build-install-$kind" >/dev/null

    cmake -S tests/install -B "$work/user-$kind" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
    cmake --build "$work/user-$kind" >/dev/null
    [ "$(LD_LIBRARY_PATH="$prefix/lib" "$work/user-$kind/user")" = "v=0" ]
    [ "$("$work/user-$kind/sdp_user")" = "0 m-sections" ]
    [ "$(LD_LIBRARY_PATH="$prefix/lib" "$work/user-$kind/codecs_user")" = "5 codecs, opus first" ]
    if ldd "$work/user-$kind/user" | grep -E "opus|vpx"; then
        echo "a program that sends data only links encoders and decoders"
        exit 1
    fi

    pc="$(dirname "$(find "$prefix" -name duet.pc)")"
    flags="$(PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs --static duet)"
    # shellcheck disable=SC2086
    cc tests/install/main.c -o "$work/pc-$kind" $flags
    [ "$(LD_LIBRARY_PATH="$(dirname "$pc")" "$work/pc-$kind")" = "v=0" ]
done

library="$(find "$work/prefix-ON" -name 'libduet.so.*.*' | head -n 1)"
strangers="$(nm -D --defined-only "$library" | awk '{print $3}' | grep -v '^duet_' || true)"
[ -z "$strangers" ] || { echo "libduet.so exports names that are not its own: $strangers"; exit 1; }

for header in include/duet/*.h; do
    echo "#include \"duet/$(basename "$header")\"" >"$work/alone.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/alone.c"
    c++ -std=c++17 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ "$work/alone.c"
done
echo "installed and used: CMake, pkg-config, static, shared; headers alone as C11 and C++17"
