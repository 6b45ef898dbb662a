/// What is known of a caller once its connection was opened; named to the backend and in logs.
final class AdmittedCaller {
    /// The name of the policy's entry that admitted it, or `anonymous`.
    let name: String
    /// `session`, `static`, or `none` for an anonymous caller.
    let tier: String

    init(name: String, tier: String) {
        self.name = name
        self.tier = tier
    }
}
