#!/bin/bash
# What deploy/ holds besides the units (installed_programs.sh) is valid, and goes by names that exist: alert
# rules, dashboard, crontab, Kubernetes manifests. No server is needed, and the source tree is: it runs as
# whoever starts it, without lib.sh.
set -euo pipefail
source=$(realpath "$(dirname "$0")/../..")
deploy=$source/deploy
PITR_BIN=$(realpath "${PITR_BIN:-$source/build/release}")
WORK=$(mktemp -d /tmp/pitr.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
OUT=$WORK/stdout ERR=$WORK/stderr
umask 022
unset PITR_CONFIG

story() { printf 'story: %s\n' "$*"; }
fail() {
  printf 'FAILED at line %s: %s\n' "${BASH_LINENO[0]}" "$*" >&2
  exit 1
}

# accepts COMMAND: pitr knows every option; help is what is asked for then.
accepts() {
  # shellcheck disable=SC2086 # a command line
  PATH=$PITR_BIN:$PATH $1 --help >"$OUT" 2>"$ERR" || fail "\"$1\": $(cat "$ERR")"
}

story "the alert rules fire where they should, and the dashboard asks for what exists"
promtool check rules "$deploy/prometheus/pitr.rules.yml" >"$WORK/promtool" 2>&1 || fail "$(cat "$WORK/promtool")"
promtool test rules "$deploy/prometheus/pitr.rules.test.yml" >"$WORK/promtool" 2>&1 || fail "$(cat "$WORK/promtool")"
python3 - "$deploy" "$source/pitr/metrics.cc" "$WORK/dashboard.yml" <<'END' || fail "the dashboard"
import json, re, sys
deploy, source, rules = sys.argv[1:]
names = set(re.findall(r'"(pitr_[a-z_]+)"', open(source).read()))
dashboard = json.load(open(deploy + "/grafana/pitr.json"))
expressions = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
assert len(expressions) > 15
asked = " ".join(expressions) + open(deploy + "/prometheus/pitr.rules.yml").read()
unknown = set(re.findall(r"\bpitr_[a-z_]+", asked)) - names
assert not unknown, unknown
fired = set(re.findall(r"alert: (\w+)", asked))
tested = set(re.findall(r"- name: (\w+)$", open(deploy + "/prometheus/pitr.rules.test.yml").read(), re.M))
assert fired <= tested, fired - tested
with open(rules, "w") as file:
    json.dump({"groups": [{"name": "dashboard", "rules": [
        {"record": "panel:%d" % n, "expr": e} for n, e in enumerate(expressions)]}]}, file)
END
promtool check rules "$WORK/dashboard.yml" >"$WORK/promtool" 2>&1 || fail "$(cat "$WORK/promtool")"

story "each line of the crontab has five fields, a user and a command that is known"
grep -vE '^(#|$|[A-Z]+=)' "$deploy/cron/pitr" >"$WORK/crontab"
while read -r minute hour day month weekday user command; do
  for field in "$minute" "$hour" "$day" "$month" "$weekday"; do
    [[ $field =~ ^(\*|[0-9]+)(/[0-9]+)?$ ]] || fail "field \"$field\" of: $command"
  done
  ((${minute//[^0-9]/} + 0 <= 59 && ${hour//[^0-9]/} + 0 <= 23 && ${weekday//[^0-9]/} + 0 <= 7)) || fail "time of: $command"
  [[ $user == postgres ]] || fail "user \"$user\" of: $command"
  [[ $command != *%* ]] || fail "cron takes % for a line end: $command"
  command=$(grep -oE 'pitr [a-z][^>|)]*' <<<"$command")
  accepts "$command"
done <"$WORK/crontab"
[[ $(wc -l <"$WORK/crontab") -ge 7 ]] || fail "lines: $(cat "$WORK/crontab")"

story "the manifests parse, hang together, hold a valid configuration, and their commands are known"
python3 - "$deploy/kubernetes" "$WORK" <<'END' || fail "the manifests"
import re, sys, yaml
folder, work = sys.argv[1:]
documents = [d for f in ("postgres", "cronjobs") for d in yaml.safe_load_all(open(f"{folder}/{f}.yaml"))]
named = {(d["kind"], d["metadata"]["name"]) for d in documents}
assert len(named) == len(documents) == 9, named
commands = []
for document in documents:
    pod = document["spec"] if "spec" in document else {}
    if document["kind"] == "CronJob":
        assert len(pod["schedule"].split()) == 5
        pod = pod["jobTemplate"]["spec"]
    if "template" not in pod: continue
    claims = {c["metadata"]["name"] for c in pod.get("volumeClaimTemplates", [])}
    pod = pod["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    volumes = claims | {v["name"] for v in pod["volumes"]}
    for volume in pod["volumes"]:
        if "configMap" in volume: assert ("ConfigMap", volume["configMap"]["name"]) in named
        if "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in named
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert {m["name"] for m in container["volumeMounts"]} <= volumes, container["name"]
        for variable in container.get("env", []):
            assert isinstance(variable.get("value", ""), str), variable
            source = variable.get("valueFrom", {}).get("secretKeyRef")
            assert source is None or ("Secret", source["name"]) in named
        words = container.get("command", [])
        if words[:1] == ["pitr"]: commands.append(" ".join(words))
        if words[:1] == ["sh"]: commands += re.findall(r"^ *(pitr [a-z].*)$", words[2], re.M)
assert len(commands) == 6, commands
open(work + "/commands", "w").write("\n".join(commands) + "\n")
config = next(d for d in documents if d["kind"] == "ConfigMap")["data"]["pitr.toml"]
open(work + "/kubernetes.toml", "w").write(config)
END
while read -r command; do accepts "$command"; done <"$WORK/commands"
! "$PITR_BIN/pitr" --config "$WORK/kubernetes.toml" info 2>"$ERR" || fail "the configuration is not asked"
grep -q '^ERROR: .*/srv/pitr/repository' "$ERR" || fail "the configuration: $(cat "$ERR")"
