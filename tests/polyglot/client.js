// A client of Heddle in JavaScript: starts a run, watches it to its end, prints its events.
//
//   HEDDLE_TOKEN=$(heddle token) node client.js ADDRESS PROTOS REPOSITORY
//
// It knows only the protos: nothing in it was generated for Heddle. Prints one JSON
// object a line: each event, and at the end the run's state.

"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, protos, repository] = process.argv.slice(2);

const definition = loader.loadSync("heddle/v1/scheduler_service.proto", {
  includeDirs: [protos],
  keepCase: true, // names as in the protos, for event.payload too
  longs: String, // an int64 does not fit a JavaScript number
  enums: String,
  oneofs: true, // event.payload is the kind
  arrays: true, // an empty list is there, and empty
});
const { heddle } = grpc.loadPackageDefinition(definition);
const scheduler = new heddle.v1.SchedulerService(address, grpc.credentials.createInsecure());

// Every call says who calls.
const signedIn = new grpc.Metadata();
signedIn.set("authorization", `Bearer ${process.env.HEDDLE_TOKEN}`);

const write = (path) => ({ script: [{ write: { path, text: `${path}\n` } }] });

const plan = {
  name: "From JavaScript",
  epics: [
    {
      key: "left",
      tasks: [
        { key: "first", ...write("left/first.txt") },
        { key: "second", ...write("left/second.txt") },
      ],
    },
    { key: "right", tasks: [{ key: "only", ...write("right/only.txt") }] },
  ],
};

function fail(error) {
  console.error(`${error.code} ${error.details || error.message}`);
  process.exit(1);
}

function watch(name, after) {
  let state = "";
  let last = after;
  const stream = scheduler.watchRun({ name, after_sequence: last }, signedIn);
  stream.on("data", (response) => {
    for (const event of response.events) {
      const { sequence, payload, epic, task } = event;
      console.log(JSON.stringify({ sequence: Number(sequence), kind: payload, epic, task }));
    }
    last = response.resume_sequence;
    state = response.run ? response.run.state : state;
  });
  stream.on("error", (error) => {
    // Nothing is lost or repeated: go on behind the last event.
    if (error.code === grpc.status.UNAVAILABLE) setTimeout(watch, 200, name, last);
    else fail(error);
  });
  stream.on("end", () => {
    console.log(JSON.stringify({ state }));
    scheduler.close();
  });
}

scheduler.createRun(
  { plan, project: repository, request_id: "from-javascript" },
  signedIn,
  (error, response) => (error ? fail(error) : watch(response.run.name, 0)),
);
