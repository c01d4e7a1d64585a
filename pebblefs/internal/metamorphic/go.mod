module github.com/cofferdb/coffer/pebblefs/internal/metamorphic

go 1.26.0
