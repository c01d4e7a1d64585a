package pgtest

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	s := Start(t)
	db, err := sql.Open("pgx", s.DSN())
	require.NoError(t, err)
	defer db.Close()
	var user, encoding string
	require.NoError(t, db.QueryRow(`SELECT current_user, current_setting('server_encoding')`).Scan(&user, &encoding))
	require.Equal(t, "coffer UTF8", user+" "+encoding)
}
