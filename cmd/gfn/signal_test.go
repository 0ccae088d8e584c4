//go:build unix

package main

import (
	"bytes"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			if signal.Ignored(sig) { // as a shell does for its background jobs
				t.Skip("whoever started this test has it ignored")
			}
			t.Chdir(t.TempDir())
			stdout, stderr := &canceller{times: 1, do: func() { syscall.Kill(os.Getpid(), sig) }}, new(bytes.Buffer)
			code := run(t.Context(), small("-json", "-iters", "1000000"), stdout, stderr)
			require.Equal(t, 130, code, stderr)
			assert.FileExists(t, checkpointName)
		})
	}
}
