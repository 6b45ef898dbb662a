internal import ArgumentParser
internal import Ratel

/// The executable.
@main
struct RatelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ratel",
        abstract: "Attested TLS beside any inference backend.",
        discussion: """
            Callers can check that the far end of this very connection is the measured code, and \
            the backend is reached by attested callers only.

              ratel policy init HOST:PORT > policy.yaml       what a server presents, as a policy
              ratel serve --backend http://127.0.0.1:8000 --policy policy.yaml
              ratel connect HOST:8443 --policy policy.yaml --listen 127.0.0.1:8080

            Every option can also be set as RATEL_OPTION_NAME in the environment, or as \
            `option-name: value` in the YAML file of --config; flags win.
            """,
        version: RatelVersion.current,
        subcommands: [
            ServeCommand.self, ConnectCommand.self, ProxyCommand.self, RouteCommand.self,
            TopCommand.self, AttestCommand.self, VerifyCommand.self,
            PolicyCommand.self, CollateralCommand.self, TCBStatusCommand.self,
            DoctorCommand.self, WebhookCommand.self, AuditCommand.self,
            DemoCommand.self,
            DemoBackendCommand.self,
            DemoInterceptCommand.self,
        ])

    static func main() {
        RatelProcess.prepare()
        self.main(nil)
    }
}
