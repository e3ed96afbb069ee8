"""Plans whose scripted agents show the browser every kind of session."""

import json

# Longer than all tests that use it; the run is cancelled afterwards.
_TALK = "\n".join(
    f"          - say: 'Step {number} of the work.'\n          - run: echo line {number}\n          - wait: 0.7"
    for number in range(1, 1600)
)

JUNIT = (
    '<testsuite tests="3" failures="0" skipped="1"><testcase name="a"/><testcase name="b"/>'
    '<testcase name="c"><skipped/></testcase></testsuite>'
)

HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
    " [a](javascript:window.pwned=1) ![b](https://example.com/spy.png) \u202eevil"
)
ANSI = r"printf '\033[31mred\033[0m <b>bold</b>\n'"

BUSY = f"""
name: Storefront
defaults:
  retries: 0
epics:
  - key: search
    title: Search service
    tasks:
      - key: index
        title: Index documents
        prompt: Index the documents.
        checks:
          - name: lint
            run: echo clean
          - name: tests
            run: |
              printf '%s' '{JUNIT}' > junit.xml; echo '2 passed, 1 skipped'
        script:
          - think: The index needs a table first.
          - say: "## Plan\\n\\nI will write **index.py** and test it.\\n\\n```py\\nreturn '<b>'\\n```"
          - run: echo needle one; echo needle two 1>&2
          - run: "false"
          - write: {{path: index.py, text: "def index():\\n    return 1\\n"}}
          - screenshot: The result page
          - screenshot: The empty page
          - usage: {{model: claude-sonnet-4-5, input_tokens: 1200, output_tokens: 340, cost_usd: 0.0125}}
          - usage: {{model: house-model, input_tokens: 10, output_tokens: 5}}
          - flood: {{lines: 3000}}
          - say: The needle is found.
      - key: ranking
        title: Ranking by recency
        prompt: Rank.
        script:
{_TALK}
  - key: frontend
    title: Frontend UI
    tasks:
      - key: settings
        title: Settings page
        prompt: Build it.
        script:
          - say: {json.dumps(HOSTILE)}
          - run: {json.dumps(ANSI)}
          - wait: 30m
      - key: dark
        title: Dark mode
        prompt: Build it.
  - key: database
    title: Database
    tasks:
      - key: migrate
        title: Migrate the users
        prompt: Migrate.
        script:
          - say: About to migrate.
          - ask: Rewrite 1.2 million rows now?
          - say: The answer came.
{_TALK}
  - key: payments
    title: Payments
    tasks:
      - key: refunds
        title: Refund flow
        prompt: Refunds.
        script:
          - say: This will not work.
          - fail: The payment provider rejects the key.
"""

# A session of depth: it plans, thinks, changes a file twice, and asks; a task before it
# failed once. It waits for the end of the tests.
DEEP = f"""
name: Bookshop
budget_usd: 5
epics:
  - key: search
    title: Search service
    tasks:
      - key: index
        title: Index documents
        prompt: Index the documents.
        retries: 1
        checks:
          - {{name: tests, run: "sh check.sh"}}
        script:
          - think: "The index needs a table first.\\n\\nThen a job that fills it."
          - plan: {{steps: [Read the schema, Write the indexer, Test it], done: 1}}
          - write: {{path: index.py, text: "def index(words):\\n    return sorted(words)\\n"}}
          - write: {{path: check.sh, text: {json.dumps(f"printf '%s' '{JUNIT}' > junit.xml")}}}
          - usage: {{model: claude-sonnet-4-5, input_tokens: 1200, output_tokens: 340, cost_usd: 0.0125}}
          - screenshot: The result page
          - wait: 1.2
          - fail: {{message: The model's answer was cut off., attempts: 1}}
          - say: The index is written.
      - key: ranking
        title: Ranking by recency
        prompt: Rank newer documents higher.
        checks:
          - {{name: tests, run: "true"}}
        script:
          - think: "Recency has to decay.\\n\\nA half life of a week is what others take."
          - plan: {{steps: [Read the index, Add the decay, Compare], done: 1}}
          - write: {{path: rank.py, text: "def rank(found):\\n    return sorted(found)\\n"}}
          - edit: {{path: rank.py, find: "sorted(found)", replace: "sorted(found, key=newest)"}}
          - screenshot: Newest first
          - screenshot: Oldest last
          - usage: {{model: claude-sonnet-4-5, input_tokens: 4200, output_tokens: 640, cost_usd: 0.045}}
          - usage: {{model: house-model, input_tokens: 10, output_tokens: 5}}
          - say: The ranking is written.
      - key: decay
        title: Decay as a setting
        prompt: Make it a setting.
        script:
          - plan: {{steps: [Read the ranking, Add the setting], done: 1}}
          - edit: {{path: rank.py, find: "key=newest", replace: "key=DECAY"}}
          - ask: May I drop the old ranking table?
          - say: The table is dropped.
          - wait: 30m
"""

# Two tasks that a test may stop, cancel and answer without affecting other tests.
SMALL = f"""
name: Small change
epics:
  - key: alpha
    title: Alpha
    tasks:
      - key: one
        title: First thing
        prompt: Do it.
        script:
{_TALK}
  - key: beta
    title: Beta
    tasks:
      - key: one
        title: Other thing
        prompt: Do it.
        script:
          - ask: May I?
          - say: Thank you.
          - wait: 60s
"""

# The last epic waits for the first; the other one for a free slot.
CHAIN = f"""
name: Chain
epics:
  - key: base
    title: Groundwork
    touches: ["src/**"]
    tasks:
      - key: one
        title: Lay the ground
        prompt: Do it.
        estimate: 10m
        script:
{_TALK}
  - key: side
    title: Side work
    touches: ["src/side/**"]
    tasks:
      - key: one
        title: Do it elsewhere
        prompt: Do it.
        estimate: 5m
        script:
{_TALK}
  - key: last
    title: Last
    depends_on: [base]
    tasks:
      - key: one
        title: Finish it
        prompt: Do it.
        estimate: 5m
"""

# One agent exceeds the run's budget.
DEAR = """
name: Dear run
budget_usd: 0.01
epics:
  - key: only
    title: Only
    tasks:
      - key: one
        title: Spend it
        prompt: Do it.
        script:
          - usage: {model: claude-sonnet-4-5, input_tokens: 900, output_tokens: 90, cost_usd: 0.02}
          - wait: 60s
"""

# Two epics that write the same file, and a picture: the content of a report.
CLASH = """
name: Clash
epics:
  - key: one
    title: First
    tasks:
      - key: write
        title: Write it
        prompt: Do it.
        checks: [{name: tests, run: "echo fine"}]
        script:
          - write: {path: same.txt, text: "one\\n"}
          - screenshot: The finished page
          - usage: {model: claude-sonnet-4-5, input_tokens: 900, output_tokens: 90, cost_usd: 0.02}
  - key: two
    title: Second
    tasks:
      - key: write
        title: Write it otherwise
        prompt: Do it.
        script:
          - wait: 1s
          - write: {path: same.txt, text: "two\\n"}
      - key: never
        title: Never works
        prompt: Do it.
        retries: 0
        script:
          - fail: The server is away.
"""

WITH_MISTAKES = """name: Broken
epics:
  - key: alpha
    tasks:
      - key: one
        promt: Do it.
"""

# The agent fails at first, and later finds the files that it left.
LATER = """
name: Later
epics:
  - key: only
    title: Only
    tasks:
      - key: one
        title: One
        agent: "command:test -e tried || { touch tried; echo heddle-retry-after: 3600; exit 75; }"
        prompt: Try it.
"""
