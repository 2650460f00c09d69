// What both test targets use, in every file of this one.
@_exported import TestSupport
