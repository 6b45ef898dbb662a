internal import Appraisal
internal import Keys
internal import Loop
internal import RATLS
internal import RATS

/// The commands that look at Evidence once and say what they found: `attest`, `verify` and
/// `policy`.
public enum Inspector {
    /// What a command prints and how it ends.
    public struct Finding: Sendable {
        /// For standard output.
        public var output = ""
        /// For standard error.
        public var notice = ""
        /// 0 admitted or done, 1 refused, 2 nobody to ask.
        public var status: Int32 = 0
    }

    /// This machine's Evidence, over `nonce` or a random one; written to `out` when there is one.
    public static func attest(
        _ source: ConfigurationSource, nonce: String?, out: String?, json: Bool
    ) throws(ConfigurationError) -> Finding {
        let nonce = try parse(nonce: nonce)
        let settings = try AttesterSettings(source, default: .auto)
        guard let attester = try settings.make(LoggingSettings.quiet.logger("attest")) else {
            throw ConfigurationError("--attester none: there is nothing to show")
        }
        do throws(Refusal) {
            let file = try EvidenceFile(from: attester, nonce: nonce)
            let evidence = try file.authenticate()
            if let out, !System.writeFile(out, file.text) {
                throw Refusal(
                    "evidence.file.unwritable", .configuration, field: "--out",
                    expected: "a writable path", got: out, remedy: "choose another path")
            }
            let document = EvidenceReport.json(evidence).serialised(pretty: true) + "\n"
            return Finding(output: json ? document : EvidenceReport.table(evidence))
        } catch {
            return show(.refused(error), json: json)
        }
    }

    /// Appraises a server, or Evidence in a file or folder.
    public static func verify(
        _ source: ConfigurationSource, _ request: VerifyRequest
    ) throws(ConfigurationError) -> Finding {
        let logger = LoggingSettings.quiet.logger("verify")
        var policy: AppraisalPolicy?
        if request.authenticityOnly {
            guard request.policy == nil else {
                throw ConfigurationError("--authenticity-only leaves out the policy: name only one")
            }
        } else {
            guard let path = request.policy else {
                throw ConfigurationError("--policy FILE is needed, or --authenticity-only")
            }
            policy = try PolicySource(path: path).load(logger)
        }
        let content = EvidenceFolder.read(request.subject)
        if case .absent = content { return try verify(server: request, policy, source) }
        guard request.authenticityOnly || request.nonce != nil || request.anyNonce else {
            throw ConfigurationError(
                "a file needs --nonce HEX, what its Evidence has to cover, or --any-nonce")
        }
        do throws(UnusableInput) {
            switch content {
            case .unusable(let why): throw UnusableInput(why)
            case .absent: throw UnusableInput("\(request.subject): no such file or folder")
            case .folder(let files):
                guard let bundle = EvidenceBundle(files: files) else {
                    throw UnusableInput("\(request.subject): no Evidence by any known file name")
                }
                return try BundleInspector.verify(bundle, request, policy, source)
            case .file(let bytes):
                if let bundle = EvidenceBundle(file: bytes) {
                    return try BundleInspector.verify(bundle, request, policy, source)
                }
                return try verify(bytes, request, policy)
            }
        } catch {
            return error.finding
        }
    }

    private static func verify(
        server request: VerifyRequest, _ policy: AppraisalPolicy?, _ source: ConfigurationSource
    ) throws(ConfigurationError) -> Finding {
        let server: Address
        if request.subject.hasPrefix("https://") {
            guard let address = WebAddress(request.subject) else {
                return UnusableInput("\(request.subject): not https://HOST[:PORT]").finding
            }
            server = address.address
        } else {
            do throws(ConfigurationError) {
                server = try SettingValue.address(request.subject, setting: "server")
            } catch {
                return UnusableInput("\(request.subject): neither a file or folder nor HOST:PORT")
                    .finding
            }
        }
        let attester = try AttesterSettings(source, default: .none)
            .make(LoggingSettings.quiet.logger("verify"))
        return try ServerInspector(
            server: server, request: request, policy: policy, attester: attester,
            collateral: try CollateralSettings(source)
        ).run()
    }

    /// A file that `ratel attest --out` wrote.
    private static func verify(
        _ bytes: [UInt8], _ request: VerifyRequest, _ policy: AppraisalPolicy?
    ) throws(UnusableInput) -> Finding {
        let expected = try request.expectedBytes()
        let now = try request.now()
        if let session = try? SessionEvidence(reading: JSONParser.parse(bytes)) {
            return verify(session, request, policy, at: now)
        }
        guard let file = try? EvidenceFile(parsing: bytes) else {
            throw UnusableInput(
                "\(request.subject): no Evidence of a known kind, and not what attest --out writes")
        }
        do throws(Refusal) {
            if let expected, !ConstantTime.equal(expected, file.nonce) {
                throw Refusal(
                    "evidence.file.nonce", .binding, field: "nonce",
                    expected: Hex.encode(expected), got: Hex.encode(file.nonce),
                    remedy: "ask the machine for Evidence over your nonce")
            }
            guard let policy else { throw .policyMissing }
            return show(.admitted(try file.appraise(policy, now: now)), json: request.json)
        } catch {
            return show(.refused(error), json: request.json)
        }
    }

    /// Evidence over another's connection, as a router shows that of its providers.
    private static func verify(
        _ session: SessionEvidence, _ request: VerifyRequest, _ policy: AppraisalPolicy?,
        at now: Int64
    ) -> Finding {
        do throws(Refusal) {
            guard request.anyNonce else {
                throw Refusal(
                    "evidence.session.nonce", .binding, field: "--any-nonce",
                    expected: "that it is taken whatever it covers",
                    got: "Evidence over a connection of its own",
                    remedy: "ask the machine itself for Evidence over your nonce")
            }
            guard let policy,
                let result = try session.job(under: policy, at: now).run().get().result()
            else { throw .policyMissing }
            return show(.admitted(result), json: request.json)
        } catch {
            return show(.refused(error), json: request.json)
        }
    }

    /// A policy that admits what a server, or a file of Evidence, shows now.
    public static func makePolicy(
        from subject: String, name: String
    ) throws(ConfigurationError) -> Finding {
        let outcome: PeerInspector.Outcome
        var tier = PeerPolicy.Tier.session
        switch EvidenceFolder.read(subject) {
        case .file(let bytes):
            let bundle = EvidenceBundle(file: bytes)
            outcome = bundle.map(look(at:)) ?? look(at: bytes)
            if bundle?.kind == .certificate { tier = .static }
        case .folder(let files):
            guard let bundle = EvidenceBundle(files: files) else {
                return UnusableInput("\(subject): no Evidence by any known file name").finding
            }
            outcome = look(at: bundle)
            if bundle.kind == .certificate { tier = .static }
        case .unusable(let why): return UnusableInput(why).finding
        case .absent:
            let address = try SettingValue.address(subject, setting: "server")
            outcome = try PeerInspector.ask(address, policy: nil, attester: nil)
        }
        guard case .inspected(let evidence, let configuration) = outcome else {
            var finding = show(outcome, json: false)
            finding.notice += finding.output
            finding.output = ""
            if finding.status == 0 { finding.status = 1 }
            return finding
        }
        return Finding(
            output: PolicyWriter.yaml(name: name, evidence: evidence, tier: tier),
            notice: EvidenceReport.table(evidence) + "configuration: "
                + String(decoding: configuration, as: UTF8.self) + "\n")
    }

    private static func look(at bundle: EvidenceBundle) -> PeerInspector.Outcome {
        do throws(Refusal) {
            return .inspected(
                try bundle.inspect(now: System.now), configuration: Array("{}".utf8))
        } catch {
            return .refused(error)
        }
    }

    private static func look(at bytes: [UInt8]) -> PeerInspector.Outcome {
        do throws(Refusal) {
            let file = try EvidenceFile(parsing: bytes)
            return .inspected(try file.authenticate(), configuration: file.configuration)
        } catch {
            return .refused(error)
        }
    }

    /// A policy in words; throws what is wrong with it.
    public static func explainPolicy(_ path: String) throws(ConfigurationError) -> Finding {
        let policy = try PolicySource(path: path).load(LoggingSettings.quiet.logger("policy"))
        let ending = policy.endingTolerances(at: System.now).map { "WARNING  \($0)\n" }
        return Finding(
            output: PolicyExplanation.text(policy) + "\n", notice: ending.joined())
    }

    /// A policy in words and, peer by peer, what it makes of Evidence in a file or folder; 0 when
    /// some peer admits it.
    public static func explainPolicy(
        _ path: String, _ request: VerifyRequest
    ) throws(ConfigurationError) -> Finding {
        let policy = try PolicySource(path: path).load(LoggingSettings.quiet.logger("policy"))
        var finding = try explainPolicy(path)
        do throws(UnusableInput) {
            let appraise = try PolicyTrial(request)
            var isAdmitted = false
            for (name, single) in policy.singly {
                do throws(Refusal) {
                    try appraise(single)
                    isAdmitted = true
                    finding.output += "\(name): ADMITTED\n"
                } catch {
                    finding.output += "\(name): REFUSED  \(error)\n"
                }
            }
            finding.status = isAdmitted ? 0 : 1
            return finding
        } catch {
            return error.finding
        }
    }

    static func show(_ outcome: PeerInspector.Outcome, json: Bool) -> Finding {
        switch outcome {
        case .admitted(let result):
            finding(EvidenceReport.table(result), EvidenceReport.json(result), json, status: 0)
        case .refused(let refusal):
            finding(EvidenceReport.table(refusal), EvidenceReport.json(refusal), json, status: 1)
        case .inspected(let evidence, _):
            finding(
                EvidenceReport.table(evidence), EvidenceReport.json(evidence), json, status: 1)
        case .unreachable(let why):
            Finding(notice: "ratel: \(why)\n", status: 2)
        }
    }

    static func finding(
        _ table: String, _ document: JSONValue, _ json: Bool, status: Int32
    ) -> Finding {
        Finding(
            output: json ? document.serialised(pretty: true) + "\n" : table, status: status)
    }

    private static func parse(nonce text: String?) throws(ConfigurationError) -> [UInt8]? {
        guard let text else { return nil }
        guard let nonce = Hex.decode(text), nonce.count == EvidenceFile.nonceSize else {
            throw ConfigurationError("--nonce: expected 64 hexadecimal digits, got \(text)")
        }
        return nonce
    }
}

extension Refusal {
    fileprivate static let policyMissing = Refusal(
        "evidence.policy.missing", .configuration, field: "--authenticity-only",
        expected: "a policy, which says whose keys are trusted",
        got: "Evidence of a machine of this kind alone",
        remedy: "name a policy with --policy, or make one with `ratel policy init`")
}
