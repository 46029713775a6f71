// Package archive writes and reads container images in the format of
// "docker save": a tar file with a manifest, a configuration and layers. That
// is enough to make the small images of a test cluster without any tool, and
// to tell which image an archive holds.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Entry is a file or, with Link, a symbolic link of an image's only layer.
type Entry struct {
	// Path within the image, without a leading slash.
	Path string
	// Source is the file to copy.
	Source string
	// Link is the target of a symbolic link; Source is ignored then.
	Link string
	// Dir makes a folder with mode 1777; Source is ignored then.
	Dir bool
}

// Image describes a single-layer image.
type Image struct {
	Ref     string
	Entries []Entry
	// Entrypoint and Cmd as in a Dockerfile.
	Entrypoint, Cmd []string
	User            string
}

// manifest is the one entry of manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Write writes the image's archive. The same content gives the same bytes.
func Write(path string, image Image) error {
	layer, err := writeLayer(image.Entries)
	if err != nil {
		return fmt.Errorf("write layer of %s: %w", image.Ref, err)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": image.Entrypoint,
			"Cmd":        image.Cmd,
			"User":       image.User,
			"Env":        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return fmt.Errorf("encode config of %s: %w", image.Ref, err)
	}
	m := manifest{Config: digest(config) + ".json", RepoTags: []string{image.Ref}, Layers: []string{digest(layer) + ".tar"}}
	list, err := json.Marshal([]manifest{m})
	if err != nil {
		return fmt.Errorf("encode manifest of %s: %w", image.Ref, err)
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range []struct {
		name string
		data []byte
	}{{m.Config, config}, {m.Layers[0], layer}, {"manifest.json", list}} {
		if err := add(w, &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}, f.data); err != nil {
			return fmt.Errorf("write archive of %s: %w", image.Ref, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write archive of %s: %w", image.Ref, err)
	}
	return replace(path, buffer.Bytes())
}

func writeLayer(entries []Entry) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		if err := addEntry(w, e); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func addEntry(w *tar.Writer, e Entry) error {
	switch {
	case e.Dir:
		return add(w, &tar.Header{Typeflag: tar.TypeDir, Name: e.Path + "/", Mode: 0o1777}, nil)
	case e.Link != "":
		return add(w, &tar.Header{Typeflag: tar.TypeSymlink, Name: e.Path, Linkname: e.Link, Mode: 0o777}, nil)
	}
	data, err := os.ReadFile(e.Source)
	if err != nil {
		return fmt.Errorf("read file for image: %w", err)
	}
	return add(w, &tar.Header{Name: e.Path, Mode: 0o755, Size: int64(len(data))}, data)
}

func add(w *tar.Writer, h *tar.Header, data []byte) error {
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// Identify returns the reference and the ID of the image that an archive holds.
// The ID depends on the content alone.
func Identify(path string) (ref, id string, err error) {
	m, err := readManifest(path)
	if err != nil {
		return "", "", fmt.Errorf("read image archive %s: %w", path, err)
	}
	if len(m.RepoTags) == 0 {
		return "", "", fmt.Errorf("read image archive %s: it names no reference", path)
	}
	id = strings.TrimSuffix(filepath.Base(m.Config), ".json")
	return m.RepoTags[0], id, nil
}

func readManifest(path string) (manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return manifest{}, errors.New("no manifest.json; expected the format of docker save")
		}
		if err != nil {
			return manifest{}, err
		}
		if h.Name != "manifest.json" {
			continue
		}
		var list []manifest
		if err := json.NewDecoder(r).Decode(&list); err != nil {
			return manifest{}, fmt.Errorf("decode manifest: %w", err)
		}
		if len(list) != 1 {
			return manifest{}, fmt.Errorf("expected one image, found %d", len(list))
		}
		return list[0], nil
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// replace writes a file at once, so that nobody reads half of it.
func replace(path string, data []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return os.Rename(temp, path)
}
