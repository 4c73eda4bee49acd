/*
 * PostgreSQL's archive_library: pitr-archive without a process for each file. All that knows
 * PostgreSQL's interface is here, and nothing else is.
 */
/* postgres.h comes before all else. */
/* clang-format off */
#include "postgres.h"
#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "archive/archive_module.h"
#else
#include "postmaster/pgarch.h"
#endif
#include "utils/guc.h"
/* clang-format on */

#include "boundary.h"

PG_MODULE_MAGIC;

static char* config = NULL;
static char* cluster = NULL;

static struct pitr_settings settings(void) {
  struct pitr_settings current;
  current.config = config == NULL ? "" : config;
  current.cluster = cluster == NULL ? "" : cluster;
  current.debug = message_level_is_interesting(DEBUG1);
  return current;
}

/* An error is a WARNING here: ERROR would restart the archiver, FATAL end it. */
static int elevel_of(enum pitr_level level) {
  switch (level) {
    case PITR_LEVEL_ERROR:
    case PITR_LEVEL_WARNING:
      return WARNING;
    case PITR_LEVEL_INFO:
      return LOG;
    case PITR_LEVEL_DEBUG:
      return DEBUG1;
  }
  return WARNING;
}

static void report(void) {
  const struct pitr_message* messages;
  const size_t count = pitr_messages(&messages);
  for (size_t i = 0; i < count; i++) {
    const struct pitr_message* m = &messages[i];
    ereport(elevel_of(m->level), (errmsg_internal("pitr_archive: %s", m->message),
                                  m->detail[0] != '\0' ? errdetail_internal("%s", m->detail) : 0,
                                  m->hint[0] != '\0' ? errhint("%s", m->hint) : 0));
  }
}

static bool is_configured(void) {
  const struct pitr_settings current = settings();
  const bool configured = pitr_is_configured(&current);
  report();
#if PG_VERSION_NUM >= 170000
  if (!configured) {
    const struct pitr_message* messages;
    const size_t count = pitr_messages(&messages);
    if (count > 0) arch_module_check_errdetail("%s", messages[count - 1].message);
  }
#endif
  return configured;
}

static bool archive(const char* path) {
  const struct pitr_settings current = settings();
  const bool archived = pitr_archive(&current, path);
  report();
  return archived;
}

#if PG_VERSION_NUM >= 160000

static bool check_configured_cb(ArchiveModuleState* state) { return is_configured(); }

static bool archive_file_cb(ArchiveModuleState* state, const char* file, const char* path) {
  return archive(path);
}

const ArchiveModuleCallbacks* _PG_archive_module_init(void) {
  static const ArchiveModuleCallbacks callbacks = {
      .check_configured_cb = check_configured_cb,
      .archive_file_cb = archive_file_cb,
  };
  return &callbacks;
}

#else

static bool check_configured_cb(void) { return is_configured(); }

static bool archive_file_cb(const char* file, const char* path) { return archive(path); }

PGDLLEXPORT void _PG_archive_module_init(ArchiveModuleCallbacks* callbacks);

void _PG_archive_module_init(ArchiveModuleCallbacks* callbacks) {
  callbacks->check_configured_cb = check_configured_cb;
  callbacks->archive_file_cb = archive_file_cb;
}

#endif

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
  DefineCustomStringVariable("pitr_archive.config", "Configuration file of pitr.",
                             "Empty: $PITR_CONFIG, else /etc/pitr/pitr.toml.", &config, "",
                             PGC_SIGHUP, 0, NULL, NULL, NULL);
  DefineCustomStringVariable("pitr_archive.cluster", "Another cluster than the configured one.",
                             NULL, &cluster, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
  MarkGUCPrefixReserved("pitr_archive");
}
