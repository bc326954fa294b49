"""Looks for changes of the code that no test notices: all that cargo-mutants lists, compiled into one set of tests (src/main.rs).

Each test is run once, and tells which changes it comes to. Each change is then tried with the tests that come to it, until one fails: with
the library's own first, then with the programs of few tests, and then, for a while, with those tests whose names are most like its own.
The few that fit no choice at run time are compiled one by one. OUT/outcomes.txt has a line for each change, and OUT/missed.txt those that
nothing noticed. Run by scripts/mutants.sh: COPY is a clone that may be spoiled, LIST what `cargo mutants --list --json` printed, REWRITER
the program that writes the changes, OUT a folder for the outcomes, and TARGETS the tests to go beyond the library's own.
"""

import collections, concurrent.futures, json, os, re, resource, shutil, subprocess, sys, tempfile, time, tomllib
from pathlib import Path

copy, list_file, rewriter, out, *targets = sys.argv[1:]
copy, out = Path(copy).resolve(), Path(out).resolve()
out.mkdir(parents=True, exist_ok=True)
mutants = json.load(open(list_file))
files = sorted({mutant["file"] for mutant in mutants})
name_of = {i + 1: mutant["name"] for i, mutant in enumerate(mutants)}
# What an earlier try on the same list has found out: a second one goes on from there.
REFUSED, LEFT, COVER = out / "refused.json", out / "left.json", out / "cover.json"
WORKERS = os.cpu_count() or 2
# A test may take so many times as long as alone, and so many seconds more, before it counts as one that does not end.
SLOWER, LONGER_S = 8, 20
# Of a program with many tests, the likeliest are tried for so long, and no longer.
MOST_S = 10
# A change that takes all memory must not take the machine's.
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
# Of a program of no more tests than that all are tried at once, and so are the library's own tests that are no longer than that.
SMALL, QUICK_S = 100, 0.5
# These take one test by its name, or run all.
OF_ONE_NAME = {test["name"] for test in tomllib.load(open(copy / "Cargo.toml", "rb"))["test"] if not test.get("harness", True)}
NOT_THERE = {"E0277", "E0308", "E0368", "E0369", "E0433", "E0599", "E0790"}


def rewrite(skipped):
    subprocess.run(["git", "checkout", "-q", "src"], cwd=copy, check=True)
    skip_file = out / "skip.txt"
    skip_file.write_text("".join(f"{number}\n" for number in sorted(skipped)))
    left = subprocess.run([rewriter, list_file, skip_file, copy], check=True, capture_output=True, text=True).stdout
    shutil.copy(Path(__file__).with_name("mutant.rs"), copy / "src/mutant.rs")
    lib = copy / "src/lib.rs"
    lib.write_text(lib.read_text() + "\n#[doc(hidden)]\npub mod mutant;\n")
    return {int(line) for line in left.split()}


MARK = re.compile(rb"/\*([\[\]<>])(\d+)\*/")


def regions():
    """By file: changes and sites as (begin, end, number), and the site of each change."""
    changes, sites, site_of = {}, {}, {}
    for file in files:
        open_at, stack = {}, []
        changes[file], sites[file] = [], []
        for mark in MARK.finditer((copy / file).read_bytes()):
            kind, number = mark[1], int(mark[2])
            if kind == b"[":
                stack.append((number, mark.start()))
            elif kind == b"]":
                number, begin = stack.pop()
                sites[file].append((begin, mark.end(), number))
            elif kind == b"<":
                open_at[number] = mark.start()
                site_of[number] = stack[-1][0]
            else:
                changes[file].append((open_at[number], mark.end(), number))
    return changes, sites, site_of


def innermost(spans, begin, end):
    within = [(stop - start, number) for start, stop, number in spans if start <= begin and end <= stop]
    return min(within)[1] if within else None


def cargo(*arguments):
    made = subprocess.run(["cargo", *arguments, "--message-format=json"], cwd=copy, capture_output=True, text=True)
    return made.returncode, [json.loads(line) for line in made.stdout.splitlines() if line.startswith("{")], made.stderr


def compile_all():
    """Leaves out, again and again, what the compiler refuses."""
    why = dict(json.loads(REFUSED.read_text())) if REFUSED.exists() else {}
    skipped = set(why)
    while True:
        left = rewrite(skipped)
        changes, sites, site_of = regions()
        code, messages, said = cargo("check", "--lib")
        if code == 0:
            REFUSED.write_text(json.dumps(sorted(why.items())))
            return skipped, left - skipped, why, site_of
        refused = set()
        for message in (m["message"] for m in messages if m["reason"] == "compiler-message"):
            if message["level"] != "error":
                continue
            found = set()
            for span in sorted(message["spans"], key=lambda span: not span["is_primary"]):
                if span["file_name"] not in changes or (found and not span["is_primary"]):
                    continue
                file, begin, end = span["file_name"], span["byte_start"], span["byte_end"]
                number = innermost(changes[file], begin, end)
                if number is not None:
                    found.add(number)
                elif span["is_primary"]:
                    site = innermost(sites[file], begin, end)
                    found |= {n for n, s in site_of.items() if s == site}
                for one in found - refused:
                    why[one] = ((message["code"] or {}).get("code"), number is not None)
            refused |= found
        if not refused - skipped:
            sys.exit("\n".join(m["message"]["rendered"] for m in messages if m["reason"] == "compiler-message"
                               and m["message"]["level"] == "error")[:4000] or said[-4000:])
        skipped |= refused
        print(f"the compiler refuses {len(skipped)} changes so far", flush=True)


def environment(**more):
    return os.environ | {"CARGO_MANIFEST_DIR": str(copy), "CARGO_PKG_NAME": "tachometer"} | more


def run(program, tests, limit_s, **more):
    """Whether all passed; None where they did not end. Without tests, all of the program's."""
    chosen = ["--exact", *tests] if tests else []
    process = subprocess.Popen([program, *chosen], cwd=copy, env=environment(**more), start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()


def build():
    """The programs with the tests, by their targets' names."""
    skipped, left, why, site_of = compile_all()
    # What the compiler refuses in itself is none: it lacks an operator, a function, a trait or a type. The rest fits no choice at run time, as
    # what is computed when it is compiled.
    none = {n for n in skipped if why[n][0] in NOT_THERE and why[n][1]}
    left = left | (skipped - none)
    LEFT.write_text(json.dumps(sorted(left)))
    print(f"{len(mutants)} changes: {len(site_of)} compiled in, {len(none)} refused by the compiler, {len(left)} to be compiled one by one",
          flush=True)
    code, messages, said = cargo("test", "--no-run", "--lib", *(f"--test={target}" for target in targets))
    if code:
        sys.exit(said[-4000:])
    programs = {m["target"]["name"]: m["executable"] for m in messages
                if m["reason"] == "compiler-artifact" and m["profile"]["test"] and m["executable"]}
    print("compiled: " + ", ".join(sorted(programs)), flush=True)
    return programs


# What each test comes to, and how long it takes.
Test = collections.namedtuple("Test", "program name seconds own")
tests_at = collections.defaultdict(list)
tests = []


def look(program, name, own):
    with tempfile.TemporaryDirectory() as folder:
        cover = Path(folder) / "cover"
        begun = time.monotonic()
        passed = run(program, [name], 600, MUTANT_COVER=str(cover))
        test = Test(program, name, time.monotonic() - begun, own)
        return test, passed, {int(line) for line in cover.read_text().split()} if cover.exists() else set()


def look_at_all(programs):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        waited = []
        for target, program in programs.items():
            listed = subprocess.run([program, "--list", "--format=terse"], cwd=copy, env=environment(), capture_output=True, text=True).stdout
            waited += [pool.submit(look, program, line.removesuffix(": test"), target == "tachometer")
                       for line in listed.splitlines() if line.endswith(": test")]
        for future in waited:
            test, passed, sites = future.result()
            if not passed:
                sys.exit(f"fails without any change: {test.name}")
            yield test, sorted(sites)


if not COVER.exists():
    COVER.write_text(json.dumps(list(look_at_all(build()))))
site_of = regions()[2]
for test, sites in json.loads(COVER.read_text()):
    tests.append(Test(*test))
    for site in sites:
        tests_at[site].append(tests[-1])
tests_of = collections.defaultdict(list)
for test in tests:
    tests_of[test.program].append(test)
seconds_of = {program: sum(test.seconds for test in all) for program, all in tests_of.items()}
print(f"{len(tests)} tests in {sum(test.seconds for test in tests):.0f} s; {len(tests_at)} sites come to", flush=True)


def target(program):
    return Path(program).name.rsplit("-", 1)[0]


def words(text):
    return {word.rstrip("s") for word in re.findall("[a-z]{4,}", text.lower())}


def attempt(number, own):
    """What becomes of a change, and the first test that notices: of the library's own, or of the others."""
    come_to = [test for test in tests_at[site_of[number]] if test.own == own]
    about = words(name_of[number])

    def notice(program, some, whole=False):
        limit_s = SLOWER * sum(test.seconds for test in (tests_of[program] if whole else some)) + LONGER_S
        passed = run(program, [] if whole else [test.name for test in some], limit_s, MUTANT=str(number))
        if not passed:
            return ("timeout" if passed is None else "caught"), target(program) if len(some) > 1 else some[0].name

    if own:
        quick = [test for test in come_to if test.seconds < QUICK_S]
        slow = [[test] for test in sorted(come_to, key=lambda test: test.seconds) if test.seconds >= QUICK_S]
        noticing = (notice(some[0].program, some) for some in [quick, *slow] if some)
        return next(filter(None, noticing), ("missed" if tests_at[site_of[number]] else "no test comes to it", ""))
    for program in sorted({test.program for test in come_to}, key=seconds_of.get):
        some = [test for test in come_to if test.program == program]
        if len(tests_of[program]) <= SMALL:
            noticed = notice(program, some, target(program) in OF_ONE_NAME)
            if noticed:
                return noticed
            continue
        begun = time.monotonic()
        for test in sorted(some, key=lambda test: test.seconds / (1 + 4 * len(about & words(test.name)))):
            noticed = notice(program, [test])
            if noticed:
                return noticed
            if time.monotonic() - begun > MOST_S:
                break
    return ("missed" if tests_at[site_of[number]] else "no test comes to it"), ""


def alone(number):
    """What becomes of a change that is compiled on its own, and the first tests that notice."""
    subprocess.run(["git", "checkout", "-q", "src"], cwd=copy, check=True)
    (copy / "src/mutant.rs").unlink(missing_ok=True)
    mutant = mutants[number - 1]
    path = copy / mutant["file"]
    lines = path.read_text().splitlines(keepends=True)
    begin, end = (sum(map(len, lines[:at["line"] - 1])) + at["column"] - 1 for at in (mutant["span"]["start"], mutant["span"]["end"]))
    text = "".join(lines)
    path.write_text(text[:begin] + mutant["replacement"] + text[end:])
    module = "::".join(Path(mutant["file"]).with_suffix("").parts[1:]).removesuffix("::mod")
    for tests in ["--lib", "--", module], ["--lib"], *([f"--test={target}"] for target in targets):
        if subprocess.run(["cargo", "test", "--quiet", "--no-run", *tests[:1]], cwd=copy, capture_output=True).returncode:
            return "refused", ""
        process = subprocess.Popen(["cargo", "test", "--quiet", *tests], cwd=copy, start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if process.wait(900):
                return "caught", " ".join(tests)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            return "timeout", " ".join(tests)
    return "missed", "compiled alone"


noticed = {}
OUTCOMES = out / "outcomes.txt"
if OUTCOMES.exists():
    for line in OUTCOMES.read_text().splitlines():
        what, name, test = line.split("\t")
        noticed[name] = what, test
# First the library's own tests on all of them, then the others on what is left.
for own in True, False:
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool, open(OUTCOMES, "a") as log:
        waited = {pool.submit(attempt, number, own): name for number, name in sorted(name_of.items())
                  if number in site_of and noticed.get(name, ("missed", ""))[0] not in ("caught", "timeout") and (not own or name not in noticed)}
        for done, future in enumerate(concurrent.futures.as_completed(waited), 1):
            name, (outcome, test) = waited[future], future.result()
            noticed[name] = outcome, test
            print(outcome, name, test, sep="\t", file=log, flush=True)
            if done % 100 == 0:
                print(f"{done} of {len(waited)}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in collections.Counter(what for what, _ in noticed.values()).items()), flush=True)
with open(OUTCOMES, "a") as log:
    for number in json.loads(LEFT.read_text()):
        name = name_of[number]
        if noticed.get(name, ("missed",))[0] == "missed":
            noticed[name] = alone(number)
            print(noticed[name][0], name, noticed[name][1], sep="\t", file=log, flush=True)
print(", ".join(f"{count} {what}" for what, count in collections.Counter(what for what, _ in noticed.values()).items()), flush=True)
with open(out / "missed.txt", "w") as missed:
    for name, (outcome, test) in sorted(noticed.items()):
        if outcome not in ("caught", "timeout", "refused"):
            print(name + (f"   ({test or outcome})" if test or outcome != "missed" else ""), file=missed)
