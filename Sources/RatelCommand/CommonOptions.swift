internal import ArgumentParser

/// Options that every long-running command has.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("admin-drain"),
        help: """
            on: GET /drain there begins what SIGTERM begins, and is answered when the last stream \
            has ended; for the preStop hook of a backend (default: off).
            """)
    var adminDrain: String?

    @Option(
        name: .customLong("access-log"),
        help: """
            off, or metadata: method, path, status, sizes and times of each request; never a body \
            or a header (default: off).
            """)
    var accessLog: String?

    @Option(
        help: """
            Worker threads, each with its own event loop (default: one per processor; for connect \
            one, so that one connection carries all).
            """)
    var workers: String?

    @Option(help: "Buffers of 17 KiB that each worker may use (default: 4096).")
    var buffers: String?

    @Option(
        help: ArgumentHelp(
            """
            How long a token may wait for others while 64 or more streams are active on a worker; \
            0 for never (default: 1ms).
            """, valueName: "duration"))
    var gather: String?

    @Option(
        help: """
            off; records: each TLS record is padded to blocks of 256 bytes; or, for serve, tick: \
            streamed tokens also go out together, every 50 ms (default: records).
            """)
    var padding: String?

    @Option(
        name: .customLong("max-connections"),
        help: "Connections that each worker accepts (default: 10000).")
    var maxConnections: String?

    @Option(
        name: .customLong("forwarded"),
        help: "off, or append: tell the backend the caller's address (default: off).")
    var forwarded: String?

    @Option(
        help: ArgumentHelp(
            "How long SIGTERM waits for streams to end (default: 30s).", valueName: "duration"))
    var grace: String?

    @Option(
        name: .customLong("drain-delay"),
        help: ArgumentHelp(
            """
            How long SIGTERM leaves the service as it is but for /readyz, so that load balancers \
            look away first (default: 0s).
            """, valueName: "duration"))
    var drainDelay: String?

    @Option(
        name: .customLong("drain-end"),
        help: ArgumentHelp(
            """
            How long a signal may take after the drain that GET /drain asked for; then this ends \
            without one, with status 0, so that it is started anew (default: 60s).
            """, valueName: "duration"))
    var drainEnd: String?

    @Option(
        name: .customLong("connect-timeout"),
        help: ArgumentHelp("To connect to the upstream (default: 5s).", valueName: "duration"))
    var connectTimeout: String?

    @Option(
        name: .customLong("first-byte-timeout"),
        help: ArgumentHelp(
            "From a request's end to its answer's first byte (default: 10m).",
            valueName: "duration"))
    var firstByteTimeout: String?

    @Option(
        name: .customLong("gap-timeout"),
        help: ArgumentHelp(
            "Between two pieces of an answer (default: 5m). There is no total timeout.",
            valueName: "duration"))
    var gapTimeout: String?

    @Option(
        name: .customLong("idle-timeout"),
        help: ArgumentHelp(
            "Of a connection that waits for a request (default: 75s).", valueName: "duration"))
    var idleTimeout: String?

    /// The flags by the names that they also have in the environment and in files.
    var flags: [String: String?] {
        [
            "admin-drain": adminDrain, "access-log": accessLog, "workers": workers,
            "buffers": buffers,
            "gather": gather, "padding": padding, "max-connections": maxConnections,
            "forwarded": forwarded,
            "grace": grace, "drain-delay": drainDelay, "drain-end": drainEnd,
            "connect-timeout": connectTimeout, "first-byte-timeout": firstByteTimeout,
            "gap-timeout": gapTimeout, "idle-timeout": idleTimeout,
        ]
    }
}
