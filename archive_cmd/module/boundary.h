/*
 * The border between PostgreSQL's archive module, which is C, and the program behind it, which is
 * C++. No exception and no longjmp() crosses it: what there is to say is kept here, and said by the
 * module after the call has returned.
 */
#ifndef PITR_ARCHIVE_MODULE_BOUNDARY_H
#define PITR_ARCHIVE_MODULE_BOUNDARY_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(readability-identifier-naming, modernize-use-using): C, and named like it */
enum pitr_level { PITR_LEVEL_ERROR, PITR_LEVEL_WARNING, PITR_LEVEL_INFO, PITR_LEVEL_DEBUG };

struct pitr_message {
  enum pitr_level level;
  const char* message;
  const char* detail; /* empty: none */
  const char* hint;   /* empty: none */
};

struct pitr_settings {
  const char* config;  /* of pitr.toml; empty: as pitr-archive finds it */
  const char* cluster; /* empty: the configured one */
  bool debug;          /* keep messages of the lowest level, too */
};

/* Can this configuration archive at all? The repository is not asked: that it fails is counted. */
bool pitr_is_configured(const struct pitr_settings* settings);

/* True: the file is durable in the repository, and PostgreSQL may remove its own copy. */
bool pitr_archive(const struct pitr_settings* settings, const char* path);

/* What the last of these calls had to say, in order; good until the next. */
size_t pitr_messages(const struct pitr_message** messages);

/* NOLINTEND(readability-identifier-naming, modernize-use-using) */

#ifdef __cplusplus
}
#endif

#endif
