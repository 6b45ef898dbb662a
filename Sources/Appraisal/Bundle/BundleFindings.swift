public import RATS

/// What an authentic bundle says. Only `EvidenceBundle.authenticate` makes one.
///
/// Authentic: signatures, chains, revocation, collateral, freshness and inner bindings hold, and
/// nothing in the Evidence is unacceptable as such. Whether the measurements are the right ones,
/// and whether a TCB status will do, is for a policy to say.
public struct BundleFindings: Sendable {
    /// The kind of Evidence.
    public let kind: EvidenceBundle.Kind
    /// What ties it to a key or connection: `none` for bare files, `static` for a certificate.
    public var tier = "none"
    /// How a certificate carries its Evidence; nil for bare files.
    public var dialect: String?
    /// What it says, under the vendor's names.
    public var claims: Claims
    /// Where the platform stands (DCAP), under Intel's names; nil for other kinds.
    public var tcb: Claims?
    /// What could not be checked, because nothing in the bundle says it.
    public var gaps: [String] = []
    /// Everything that was checked, in order.
    public var checked: [String]

    init(
        _ kind: EvidenceBundle.Kind, claims: Claims, checked: [String], gaps: [String] = [],
        tcb: Claims? = nil
    ) {
        self.kind = kind
        self.claims = claims
        self.checked = checked
        self.gaps = gaps
        self.tcb = tcb
    }
}
