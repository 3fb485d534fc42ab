/* The template dependency structure within a dependency descriptor. */
#ifndef DUET_MEDIA_DEPENDENCY_STRUCTURE_H
#define DUET_MEDIA_DEPENDENCY_STRUCTURE_H

#include "duet/video_layers.h"
#include "media/bits.h"

/* template_dependency_structure(). @return DUET_OK or DUET_ERR_MALFORMED */
int duet_dependency_structure_read(duet_dependency_structure *out, duet_bit_reader *r);
void duet_dependency_structure_write(const duet_dependency_structure *s, duet_bit_writer *w);
/* Whether it can be written. */
bool duet_dependency_structure_is_valid(const duet_dependency_structure *s);

uint32_t duet_dependency_all_targets(const duet_dependency_structure *s); /* a bit for each decode target */

/* Those of a template and of a frame alike: DTIs of two bits. */
void duet_dependency_read_dtis(uint8_t *dtis, unsigned count, duet_bit_reader *r);
void duet_dependency_write_dtis(const uint8_t *dtis, unsigned count, duet_bit_writer *w);
/* What a frame and a template can say: the diffs of a template fit four bits. */
bool duet_dependencies_are_valid(const duet_frame_dependencies *f, const duet_dependency_structure *s,
                                 unsigned frame_diff_max, unsigned chain_diff_max);

#endif
