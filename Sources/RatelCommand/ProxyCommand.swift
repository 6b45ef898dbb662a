internal import ArgumentParser
internal import Ratel

struct ProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "The reverse proxy: many listeners in front, many backends behind.",
        discussion: """
            Everything is in one YAML file: listeners, routes by host, path, header and model, and \
            backends with their health checks; plain, TLS or attested on either side. SIGHUP reads \
            it again without dropping a stream.
            """,
        subcommands: [Run.self, Check.self], defaultSubcommand: Run.self)

    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Serve what a file says (the default).")

        @Option(help: ArgumentHelp("The proxy's file.", valueName: "file"))
        var config: String

        func run() throws {
            try finish { () throws(ConfigurationError) in try Proxy.run(config) }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Say in words what a file does, or what is wrong with it.",
            discussion: "Exit status: 0 when it can be used, 2 when not.")

        @Argument(help: ArgumentHelp("The proxy's file.", valueName: "file"))
        var file: String

        func run() throws {
            try report { () throws(ConfigurationError) in Proxy.check(file) }
        }
    }
}
