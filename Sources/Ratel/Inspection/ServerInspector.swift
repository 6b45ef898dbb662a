internal import Appraisal
internal import Keys
internal import Loop
internal import RATLS
internal import RATS

/// `ratel verify` of a server of any system: the exchange where it speaks it, else what it shows in
/// its certificate, after the handshake, or at the addresses where such systems answer.
struct ServerInspector {
    let server: Address
    let request: VerifyRequest
    let policy: AppraisalPolicy?
    let attester: (any Attester)?
    let collateral: CollateralSettings

    func run() throws(ConfigurationError) -> Inspector.Finding {
        let now: Int64
        let anchors: TrustAnchors
        do throws(UnusableInput) {
            (now, anchors) = (try request.now(), try request.anchors())
        } catch {
            return error.finding
        }
        var tried: [String] = []
        for endpoint in AttestationEndpoint.allCases {
            let probe = ServerProbe(
                endpoint, authority: authority,
                allowsStatic: policy?.acceptsStatic ?? true, now: now)
            let answer = try PeerInspector.ask(
                server, policy: policy?.trusting(anchors), attester: attester,
                collateral: collateral, probe: probe)
            switch answer {
            case .shown(let shown): return try appraise(shown, anchors, now)
            case .nothing(let found): tried.append("\(path(endpoint)): \(found)")
            case .spoken(let outcome): return Inspector.show(outcome, json: request.json)
            }
        }
        let none = AttestedLeaf.none
        return show(
            Refusal(
                "server.evidence.none", .evidence, field: "server",
                expected: "the exchange, or Evidence as \(none.expected), or at "
                    + AttestationEndpoint.allCases.map(path).joined(separator: " or "),
                got: tried.joined(separator: "; "),
                remedy: "run `ratel serve` there, or give its Evidence as a file"))
    }

    /// The value of the Host field: a socket of this machine has no name of its own.
    private var authority: String {
        if case .unix = server { "localhost" } else { "\(server)" }
    }

    private func path(_ endpoint: AttestationEndpoint) -> String {
        String(endpoint.path(nonce: []).prefix { $0 != "?" })
    }

    private func appraise(
        _ shown: ShownEvidence, _ anchors: TrustAnchors, _ now: Int64
    ) throws(ConfigurationError) -> Inspector.Finding {
        var roots = CollateralRoots(policy: policy)
        roots.trust(anchors)
        let store = try collateral.make(
            roots: roots, now: now, LoggingSettings.quiet.logger("collateral"))
        let job = ShownJob(shown: shown, policy: policy, anchors: anchors, now: now)
        switch Appraisals(store: store).runBlocking(job) {
        case .success(.admitted(let result)):
            let dialect = shown.carried[0].dialect.rawValue
            return Inspector.finding(
                EvidenceReport.table(result, dialect: dialect),
                EvidenceReport.json(result, dialect: dialect), request.json, status: 0)
        case .success(.authentic(let findings)):
            return BundleInspector.show(findings, request, now, isCovered: true)
        case .failure(let refusal): return show(refusal, shown.carried[0].dialect.rawValue)
        }
    }

    private func show(_ refusal: Refusal, _ dialect: String? = nil) -> Inspector.Finding {
        var members: [(String, JSONValue)] = [("admitted", .bool(false))]
        if let dialect { members.append(("dialect", .string(dialect))) }
        members += refusal.parts.map { ($0.name, .string($0.text)) }
        return Inspector.finding(
            EvidenceReport.table(refusal, dialect: dialect), .members(members), request.json,
            status: 1)
    }
}

/// The appraisal of what a server showed.
private struct ShownJob: Appraisable {
    enum Outcome: Sendable {
        case admitted(AttestationResult)
        case authentic(BundleFindings)
    }

    let shown: ShownEvidence
    /// Nil where only authenticity is asked.
    let policy: AppraisalPolicy?
    let anchors: TrustAnchors
    let now: Int64

    func needs(roots: CollateralRoots) -> [CollateralNeed] {
        shown.carried.flatMap { $0.needs(roots: roots, now: now) }
    }

    var endorsements: [Endorsement] { shown.carried.flatMap(\.stapled) }

    func run(
        endorsements: [Endorsement]?, cache: AppraisalCache?
    ) -> Result<Outcome, Refusal> {
        do throws(Refusal) {
            guard let policy else {
                return .success(
                    .authentic(
                        try CarriedEvidence.findings(
                            shown.carried, of: shown.certificate, tier: shown.tier,
                            anchors: anchors, endorsements: endorsements, now: now)))
            }
            // Of several forms in one certificate, all of which are of its key, the first counts.
            for other in shown.carried.dropFirst() {
                _ = try other.authenticate(endorsements: endorsements)
            }
            return .success(
                .admitted(
                    try shown.carried[0].appraise(
                        policy, anchors: anchors, endorsements: endorsements, tier: shown.tier,
                        end: shown.certificate.notAfter, now: now)))
        } catch {
            return .failure(error)
        }
    }
}
