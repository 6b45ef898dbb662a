internal import COpenSSL
internal import CRecycler

/// Gives OpenSSL memory functions whose freed blocks are used again, so that encrypting a record
/// does not reach the heap (OpenSSL 3.0 takes and frees three blocks for each).
public enum Recycler {
    /// Installs them; OpenSSL allows it only before its first allocation, so the command does it
    /// first thing. Later calls, or a call too late, change nothing and are harmless.
    public static func install() {
        _ = isInstalled
    }

    /// Whether OpenSSL accepted them.
    public static let isInstalled: Bool =
        unsafe CRYPTO_set_mem_functions(
            ratel_recycler_allocate, ratel_recycler_reallocate, ratel_recycler_free) == 1
}
