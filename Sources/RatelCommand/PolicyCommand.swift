internal import ArgumentParser
internal import Loop
internal import Ratel

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Write and check appraisal policies.",
        subcommands: [Init.self, Check.self])

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Write a policy from what a server presents now (trust on first use).",
            discussion: """
                The policy goes to standard output, what it was made from to standard error. \
                Nothing vouches for the server yet: compare every value with what you built.
                """)

        @Argument(help: ArgumentHelp("A `ratel serve`.", valueName: "host:port"))
        var server: String

        @Option(help: "The name of the policy's entry.")
        var name = "server"

        func run() throws {
            try finish { () throws(ConfigurationError) in
                let address = try SettingValue.address(server, setting: "server")
                switch try PeerInspector.ask(address, policy: nil, attester: nil) {
                case .inspected(let evidence, let configuration):
                    System.writeError(EvidenceReport.table(evidence))
                    System.writeError(
                        "configuration: " + String(decoding: configuration, as: UTF8.self))
                    print(PolicyWriter.yaml(name: name, evidence: evidence), terminator: "")
                    return 0
                case .refused(let refusal):
                    System.writeError(EvidenceReport.table(refusal))
                    return 1
                case .unreachable(let why):
                    System.writeError("ratel: \(why)")
                    return 2
                case .admitted:
                    return 1
                }
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Explain a policy in words, or say what is wrong with it.")

        @Argument(help: ArgumentHelp("The policy.", valueName: "file"))
        var file: String

        func run() throws {
            try finish { () throws(ConfigurationError) in
                let policy = try PolicySource(path: file).load(
                    LoggingSettings.quiet.logger("policy"))
                print(PolicyExplanation.text(policy), terminator: "\n")
                return 0
            }
        }
    }
}
