import CPostgreSQL
import SystemLibrary

// Unsafe memory: the pointers are C's own functions, of the types that libpq-fe.h declares; the library is never closed.

/// PostgreSQL's client library, opened when a setting names a server. https://www.postgresql.org/docs/15/libpq.html
struct LibPQ: Sendable {
  typealias Connection = OpaquePointer
  typealias Result = OpaquePointer
  typealias Text = UnsafePointer<CChar>
  typealias Texts = UnsafePointer<Text?>

  let parse:
    @convention(c) (Text?, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> UnsafeMutablePointer<
      PQconninfoOption
    >?
  let freeOptions: @convention(c) (UnsafeMutablePointer<PQconninfoOption>?) -> Void
  let freeMemory: @convention(c) (UnsafeMutableRawPointer?) -> Void

  let connect: @convention(c) (Texts?, Texts?, CInt) -> Connection?
  let connectStart: @convention(c) (Texts?, Texts?, CInt) -> Connection?
  let connectPoll: @convention(c) (Connection?) -> PostgresPollingStatusType
  let setErrorVerbosity: @convention(c) (Connection?, PGVerbosity) -> PGVerbosity
  let needsPassword: @convention(c) (Connection?) -> CInt
  let finish: @convention(c) (Connection?) -> Void
  let status: @convention(c) (Connection?) -> ConnStatusType
  let transactionStatus: @convention(c) (Connection?) -> PGTransactionStatusType
  let errorMessage: @convention(c) (Connection?) -> Text?
  let parameterStatus: @convention(c) (Connection?, Text?) -> Text?
  let socket: @convention(c) (Connection?) -> CInt
  let setNonblocking: @convention(c) (Connection?, CInt) -> CInt
  let setNoticeProcessor:
    @convention(c) (Connection?, PQnoticeProcessor?, UnsafeMutableRawPointer?) -> PQnoticeProcessor?

  let sendScript: @convention(c) (Connection?, Text?) -> CInt
  let sendPrepare: @convention(c) (Connection?, Text?, Text?, CInt, UnsafePointer<Oid>?) -> CInt
  let sendPrepared:
    @convention(c) (
      Connection?, Text?, CInt, Texts?, UnsafePointer<CInt>?, UnsafePointer<CInt>?, CInt
    ) -> CInt
  let flush: @convention(c) (Connection?) -> CInt
  let consumeInput: @convention(c) (Connection?) -> CInt
  let isBusy: @convention(c) (Connection?) -> CInt
  let nextResult: @convention(c) (Connection?) -> Result?

  let clear: @convention(c) (Result?) -> Void
  let resultStatus: @convention(c) (Result?) -> ExecStatusType
  let errorField: @convention(c) (Result?, CInt) -> UnsafeMutablePointer<CChar>?
  let commandTag: @convention(c) (Result?) -> UnsafeMutablePointer<CChar>?
  let changedRows: @convention(c) (Result?) -> UnsafeMutablePointer<CChar>?
  let rowCount: @convention(c) (Result?) -> CInt
  let columnCount: @convention(c) (Result?) -> CInt
  let columnName: @convention(c) (Result?, CInt) -> UnsafeMutablePointer<CChar>?
  let columnType: @convention(c) (Result?, CInt) -> Oid
  let isNull: @convention(c) (Result?, CInt, CInt) -> CInt
  let length: @convention(c) (Result?, CInt, CInt) -> CInt
  let value: @convention(c) (Result?, CInt, CInt) -> UnsafeMutablePointer<CChar>?
  let unescapeBytes:
    @convention(c) (UnsafePointer<UInt8>?, UnsafeMutablePointer<Int>?) -> UnsafeMutablePointer<UInt8>?

  /// - Throws: `SystemLibraryError`.
  init() throws(SystemLibraryError) {
    let library = try SystemLibrary("libpq.so.5", package: "libpq5")
    parse = try library.function("PQconninfoParse")
    freeOptions = try library.function("PQconninfoFree")
    freeMemory = try library.function("PQfreemem")
    connect = try library.function("PQconnectdbParams")
    connectStart = try library.function("PQconnectStartParams")
    connectPoll = try library.function("PQconnectPoll")
    setErrorVerbosity = try library.function("PQsetErrorVerbosity")
    needsPassword = try library.function("PQconnectionNeedsPassword")
    finish = try library.function("PQfinish")
    status = try library.function("PQstatus")
    transactionStatus = try library.function("PQtransactionStatus")
    errorMessage = try library.function("PQerrorMessage")
    parameterStatus = try library.function("PQparameterStatus")
    socket = try library.function("PQsocket")
    setNonblocking = try library.function("PQsetnonblocking")
    setNoticeProcessor = try library.function("PQsetNoticeProcessor")
    sendScript = try library.function("PQsendQuery")
    sendPrepare = try library.function("PQsendPrepare")
    sendPrepared = try library.function("PQsendQueryPrepared")
    flush = try library.function("PQflush")
    consumeInput = try library.function("PQconsumeInput")
    isBusy = try library.function("PQisBusy")
    nextResult = try library.function("PQgetResult")
    clear = try library.function("PQclear")
    resultStatus = try library.function("PQresultStatus")
    errorField = try library.function("PQresultErrorField")
    commandTag = try library.function("PQcmdStatus")
    changedRows = try library.function("PQcmdTuples")
    rowCount = try library.function("PQntuples")
    columnCount = try library.function("PQnfields")
    columnName = try library.function("PQfname")
    columnType = try library.function("PQftype")
    isNull = try library.function("PQgetisnull")
    length = try library.function("PQgetlength")
    value = try library.function("PQgetvalue")
    unescapeBytes = try library.function("PQunescapeBytea")
  }
}
