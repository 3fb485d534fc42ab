/* Scanning of text grammars (SDP, candidates, URLs) on top of the bounded reader: runs of a character class, numbers
 * with a range, tokens. Nothing here allocates; what it returns borrows from the text. */
#ifndef DUET_BASE_TEXT_H
#define DUET_BASE_TEXT_H

#include "base/bytes.h"

/* A class of characters of some grammar. */
typedef bool (*duet_char_class)(uint8_t c);

bool duet_char_is_digit(uint8_t c);
bool duet_char_is_alpha(uint8_t c);
bool duet_char_is_alnum(uint8_t c);
bool duet_char_is_ice(uint8_t c);       /* ice-char, RFC 8839 section 5.1: ALPHA / DIGIT / "+" / "/" */
bool duet_char_is_token(uint8_t c);     /* token-char, RFC 8866 section 9 */
bool duet_char_is_not_space(uint8_t c); /* non-ws-string, RFC 8866 section 9: VCHAR and the bytes from 0x80 on */
bool duet_char_is_byte(uint8_t c);      /* byte-string, RFC 8866 section 9: anything but NUL, CR and LF */

duet_reader duet_text_reader(const char *text, size_t len);
duet_reader duet_text_reader_of(duet_bytes text);

/* The longest run of the class from here on, perhaps empty. */
duet_bytes duet_text_run(duet_reader *r, duet_char_class is);
/* Everything that is left. */
duet_bytes duet_text_rest(duet_reader *r);
/* Steps over `c` when it is next. */
bool duet_text_skip(duet_reader *r, char c);
/* Steps over `word` when it is next, whatever its case. */
bool duet_text_skip_word(duet_reader *r, const char *word);
/* A run of digits whose value lies in min to max. Otherwise false, and the reader stands where it stood. */
bool duet_text_number(duet_reader *r, uint64_t min, uint64_t max, uint64_t *out);
bool duet_text_at_end(const duet_reader *r);

bool duet_text_is(duet_bytes text, const char *word);        /* the same bytes */
bool duet_text_is_nocase(duet_bytes text, const char *word); /* the same but for the case of ASCII letters */
bool duet_text_all(duet_bytes text, duet_char_class is);     /* not empty, and all of the class */
/* Copies into buf with a NUL; false when it does not fit or holds a NUL. */
bool duet_text_copy(char *buf, size_t size, duet_bytes text);

#endif
