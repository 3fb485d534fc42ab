/* The page that `duet signal` ships: the files of apps/web/, compiled in. */
#ifndef DUET_APPS_WEB_H
#define DUET_APPS_WEB_H

#include "duet/signaling.h"

extern const duet_signaling_file app_web_files[];
extern const size_t app_web_file_count;

#endif
