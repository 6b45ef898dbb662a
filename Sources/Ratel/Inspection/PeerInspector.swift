public import Appraisal
public import Loop
internal import RATLS
public import RATS
internal import Streams
internal import TLS

/// Connects to a server once, runs the exchange, and says what came of it.
public enum PeerInspector {
    /// What came of it.
    public enum Outcome: Sendable {
        /// The policy admits the server, over this very connection.
        case admitted(AttestationResult)
        /// What the server presented; authentic, but nobody has decided on it.
        case inspected([AuthenticEvidence], configuration: [UInt8])
        /// Refused, by this side or the other.
        case refused(Refusal)
        /// There was no exchange: no connection, or no TLS.
        case unreachable(String)
    }

    /// What came of it where the server may be of another system.
    enum Answer: Sendable {
        case spoken(Outcome)
        /// It speaks no exchange, and showed this.
        case shown(ShownEvidence)
        /// It speaks no exchange, and showed nothing.
        case nothing(String)
    }

    /// Asks `server` for Evidence; with a policy it is appraised, without one only looked at.
    ///
    /// Blocks, at most for the connect and handshake budgets.
    public static func ask(
        _ server: Address, policy: AppraisalPolicy?, attester: (any Attester)?,
        collateral: CollateralSettings? = nil
    ) throws(ConfigurationError) -> Outcome {
        let answer = try ask(
            server, policy, attester, collateral, [ChannelProtocol.attestedHTTP1], nil)
        guard case .spoken(let outcome) = answer else { return .unreachable("nothing came") }
        return outcome
    }

    /// The same of a server that may be of another system: then `probe` says what to ask it.
    ///
    /// Without a policy nothing is asked of a Ratel but its certificate.
    static func ask(
        _ server: Address, policy: AppraisalPolicy?, attester: (any Attester)?,
        collateral: CollateralSettings, probe: ServerProbe
    ) throws(ConfigurationError) -> Answer {
        let others = [FlashbotsMessage.applicationProtocol, ChannelProtocol.plainHTTP1]
        let protocols = (policy == nil ? [] : [ChannelProtocol.attestedHTTP1]) + others
        return try ask(server, policy, attester, collateral, protocols, probe)
    }

    private static func ask(
        _ server: Address, _ policy: AppraisalPolicy?, _ attester: (any Attester)?,
        _ collateral: CollateralSettings?, _ protocols: [String], _ probe: ServerProbe?
    ) throws(ConfigurationError) -> Answer {
        let identity = try makeIdentity(
            .client, protocols, ChannelVerifier(demandsCertificate: true), attester, nil)
        let settings = ExchangeSettings(
            asks: policy.map { .policy($0) } ?? .inspection,
            attestation: attester.map {
                ExchangeSettings.Attestation(attester: $0, bindingKeys: identity.bindingKeys)
            },
            configuration: Array("{\"use\":\"verify\"}".utf8))
        let store = try policy.flatMap { (policy) throws(ConfigurationError) in
            try collateral?.make(
                roots: CollateralRoots(policy: policy), LoggingSettings.quiet.logger("collateral"))
        }
        let loop = EventLoop(bufferCount: 32)
        let inspection = Inspection(settings, identity, server, Appraisals(store: store), probe)
        inspection.start(on: loop)
        loop.run()
        return inspection.outcome ?? .spoken(.unreachable("nothing came"))
    }
}

/// One such connection.
private final class Inspection: Preamble {
    private(set) var outcome: PeerInspector.Answer?
    private let settings: ExchangeSettings
    private let identity: ChannelIdentity
    private let server: Address
    private let appraisals: Appraisals
    private var exchange: Exchange?
    /// What is asked of a server that speaks no exchange.
    private var probe: ServerProbe?
    private var isProbing = false
    private var link: InspectionLink?
    private var timer: LoopTimer?

    init(
        _ settings: ExchangeSettings, _ identity: ChannelIdentity, _ server: Address,
        _ appraisals: Appraisals, _ probe: ServerProbe?
    ) {
        self.probe = probe
        self.appraisals = appraisals
        self.settings = settings
        self.identity = identity
        self.server = server
    }

    func start(on loop: EventLoop) {
        let budgets = Budgets()
        let timer = LoopTimer(on: loop) { [unowned self] in
            self.finish(.unreachable("no answer from \(self.server) in time"), on: loop)
        }
        timer.start(after: budgets.connect + budgets.handshake)
        self.timer = timer
        guard case .ip(let host, let port) = server else { return connect(server, on: loop) }
        Resolver.resolve(host: host, port: port, on: loop) { [self] found in
            switch found {
            case .success(let addresses): connect(addresses[0], on: loop)
            case .failure(let error): finish(.unreachable("\(host): \(error)"), on: loop)
            }
        }
    }

    private func connect(_ address: Address, on loop: EventLoop) {
        let link = InspectionLink(on: loop, kind: address)
        self.link = link
        link.onConnect = { [unowned self] link in
            link.begin(
                self.identity.current.context, serverName: self.server.serverName,
                preamble: self)
        }
        link.onBreak = { [unowned self] error in
            self.finish(.unreachable("\(self.server): \(error)"), on: loop)
        }
        do {
            try link.connect(to: address)
        } catch {
            finish(.unreachable("\(address): \(error)"), on: loop)
        }
    }

    func begin(_ link: Link, handshake: Handshake) {
        if handshake.applicationProtocol != ChannelProtocol.attestedHTTP1 {
            isProbing = true
            let step = probe?.begin(handshake) { [unowned link] label in
                link.export(label: label, context: [], count: 32)
            }
            return perform(step, link)
        }
        let facts = link.facts(handshake, as: .client)
        var exchange = Exchange(settings: settings, channel: facts, moment: .now)
        let challenge = exchange.start()
        self.exchange = exchange
        link.sendMessage(challenge)
        proceed(link)
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        if isProbing { return perform(probe?.receive(bytes), link) }
        exchange?.receive(bytes, uptime: System.uptimeMilliseconds)
        proceed(link)
    }

    func linkDidBreak(_ link: Link) {
        if isProbing, outcome == nil { perform(probe?.ended(), link) }
    }

    private func perform(_ step: ServerProbe.Step?, _ link: Link) {
        guard outcome == nil else { return }
        switch step {
        case .send(let bytes): link.sendMessage(bytes)
        case .wait: return
        case .shown(let shown): end(.shown(shown), on: link.loop)
        case .nothing(let found): end(.nothing(found), on: link.loop)
        case .refused(let refusal): finish(.refused(refusal), on: link.loop)
        case nil: finish(.unreachable("\(server): it speaks no exchange"), on: link.loop)
        }
    }

    /// Jobs run in place: nothing else is served here.
    private func proceed(_ link: Link) {
        while outcome == nil, let step = exchange?.next() {
            switch step {
            case .wait: return
            case .send(let bytes): link.sendMessage(bytes)
            case .quote(let job): exchange?.quoted(job.run())
            case .appraise(let job): exchange?.appraised(appraisals.runBlocking(job))
            case .settled: settle(link)
            case .inspected(let evidence, let configuration):
                finish(.inspected(evidence, configuration: configuration), on: link.loop)
            case .refused(let refusal):
                // The server asks for Evidence that this side does not have: what it showed itself
                // was appraised before that.
                if refusal.code == "attester.none", let result = exchange?.appraisal {
                    finish(.admitted(result), on: link.loop)
                } else {
                    finish(.refused(refusal), on: link.loop)
                }
            }
        }
    }

    private func settle(_ link: Link) {
        guard let peer = exchange?.admit() else { return }
        switch peer.standing {
        case .attested(let result): finish(.admitted(result), on: link.loop)
        case .observed(let refusal): finish(.refused(refusal), on: link.loop)
        case .anonymous:
            finish(
                .refused(
                    Refusal(
                        "policy.anonymous", .policy, field: "peers",
                        expected: "a policy that asks for Evidence", got: "peers: anonymous",
                        remedy: "verify with a policy that names the server")),
                on: link.loop)
        }
    }

    private func finish(_ outcome: PeerInspector.Outcome, on loop: EventLoop) {
        end(.spoken(outcome), on: loop)
    }

    private func end(_ outcome: PeerInspector.Answer, on loop: EventLoop) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        exchange = nil
        timer?.close()
        timer = nil
        link?.onBreak = nil
        link?.onConnect = nil
        link?.close()
        link = nil
        loop.mailbox.close()
    }
}

private final class InspectionLink: Link {
    var onConnect: ((InspectionLink) -> Void)?
    var onBreak: ((LinkError) -> Void)?

    override func didConnect(_ failure: SocketError?) {
        if let failure {
            onBreak?(.socket(failure))
        } else {
            onConnect?(self)
        }
    }

    override func didBreak(_ error: LinkError) {
        onBreak?(error)
    }
}
