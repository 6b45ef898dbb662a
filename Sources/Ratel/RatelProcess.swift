internal import Loop
internal import TLS

/// What the process as a whole needs.
public enum RatelProcess {
    /// To be called first thing: OpenSSL takes other memory functions only before its first
    /// allocation.
    public static func prepare() {
        Recycler.install()
        System.leaveNothingBehind()
    }

    /// Writes to standard output at once.
    public static func write(_ text: String) {
        System.writeOutput(text)
    }

    /// Writes a line to standard error.
    public static func complain(_ text: String) {
        System.writeError(text)
    }
}
