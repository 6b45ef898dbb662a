public import Appraisal
internal import Keys
public import Logging
internal import RATS

/// Where the appraisal policy comes from.
public struct PolicySource: Sendable {
    /// The YAML file.
    public var path: String

    /// Names the file.
    public init(path: String) {
        self.path = path
    }

    /// Loads it and says aloud what a person should not overlook.
    public func load(_ logger: Logger) throws(ConfigurationError) -> AppraisalPolicy {
        let policy: AppraisalPolicy
        do {
            policy = try PolicyLoader.load(path: path)
        } catch {
            throw ConfigurationError("--policy \(path): \(error)")
        }
        logger.info(
            "policy",
            metadata: ["file": "\(path)", "sha384": "\(Hex.encode(policy.digest))"])
        announce(policy, logger)
        return policy
    }

    /// Says aloud what a person should not overlook in a policy.
    func announce(_ policy: AppraisalPolicy, _ logger: Logger) {
        if policy.isAnonymous {
            logger.warning("the policy says `peers: anonymous`: nothing is asked of the peer")
        }
        if policy.acceptsSimulated {
            logger.critical(
                """
                THE POLICY ACCEPTS SIMULATED EVIDENCE (`simulated: true`): a peer that it admits \
                may run anything
                """)
        }
        if !policy.replacedRoots.isEmpty {
            let names = policy.replacedRoots.map(\.rawValue).joined(separator: ", ")
            logger.critical(
                """
                THE POLICY REPLACES VENDORS' ROOTS (`roots`, in \(names)): whoever has the keys \
                of those roots can make Evidence that it admits
                """)
        }
        if policy.mode == .observe {
            logger.warning(
                "the policy says `mode: observe`: refusals are told as such, and nobody gets in")
        }
    }
}
