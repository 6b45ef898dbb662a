internal import ArgumentParser
internal import Ratel

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch a router: providers, prices, speed, load, the last decisions.",
        discussion: """
            Shows what /ui of the router's admin listener shows, anew each second. The listener is \
            asked over plain HTTP, so it has to be on this machine: forward its port from another \
            (`ssh -L`, `kubectl port-forward`).

            Colours are left out where NO_COLOR is set, or where the output is no terminal. Exit \
            status of --once: 0, or 1 where the router does not answer.
            """)

    @Option(
        help: ArgumentHelp(
            "The router's admin listener (default: 127.0.0.1:9090).", valueName: "address"))
    var admin: String?

    @Flag(help: "One table, and the end.")
    var once = false

    func run() throws {
        try finish { () throws(ConfigurationError) in
            try Top.run(ConfigurationSource(["admin": admin]), once: once)
        }
    }
}
