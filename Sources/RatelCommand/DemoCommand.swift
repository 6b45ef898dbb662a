internal import ArgumentParser
internal import Ratel

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Two attested Ratels on this machine, one stream, three refusals.",
        discussion: "Needs swtpm, tpm2-tools, openssl and curl; `make demo` installs them.")

    @Option(
        help: ArgumentHelp(
            "An inference server to use in place of the built-in token generator.",
            valueName: "url"))
    var backend: String?

    func run() throws {
        try finish { () throws(ConfigurationError) in
            try Demo(backend: backend, say: { RatelProcess.write($0) }).run()
        }
    }
}

/// The token generator alone; `ratel demo` starts it.
struct DemoBackendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-backend",
        abstract: "An OpenAI-compatible token generator that says what it is.",
        shouldDisplay: false)

    @Option(help: "Where to listen.")
    var listen = "127.0.0.1:8000"

    @Option(help: "Milliseconds between two tokens.")
    var pace = 20

    func run() throws {
        try finish { () throws(ConfigurationError) in
            try DemoTools.runBackend(listen: listen, pace: pace)
        }
    }
}

/// The attacker of the demo and of the attack tests; `ratel demo` starts it.
struct DemoInterceptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-intercept",
        abstract: "An attacker that answers with its own key and passes Evidence on.",
        shouldDisplay: false)

    @Option(help: "Where to listen.")
    var listen: String

    @Option(help: "The server to pass everything on to.")
    var server: String

    func run() throws {
        try finish { () throws(ConfigurationError) in
            try DemoTools.runInterceptor(listen: listen, server: server)
        }
    }
}
