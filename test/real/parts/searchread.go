package parts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// ask does what Do does, wants 2xx, and decodes the answer into out unless that is nil.
func (n *SearchNode) ask(ctx context.Context, method, path, body string, out any) error {
	answer, err := n.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if answer.Status/100 != 2 {
		return fmt.Errorf("%s %s of %s: status %d, expected 2xx: %s", method, path, n.Name, answer.Status, answer.Body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("decode the answer of %s to %s %s: %w", n.Name, method, path, err)
	}
	return nil
}

// Count says how many documents can be found in an index, which it makes up to date before; none are in
// one that is not there yet.
func (n *SearchNode) Count(ctx context.Context, index string) (int64, error) {
	var counted struct {
		Count int64 `json:"count"`
	}
	const whereThereIs = "?ignore_unavailable=true&allow_no_indices=true"
	if err := n.ask(ctx, http.MethodPost, "/"+index+"/_refresh"+whereThereIs, "", nil); err != nil {
		return 0, err
	}
	err := n.ask(ctx, http.MethodGet, "/"+index+"/_count"+whereThereIs, "", &counted)
	return counted.Count, err
}

// EachNumber reads all documents of an index, which it makes up to date before, and hands over the id of
// each, and a field that holds a whole number; -1 where that is not so.
func (n *SearchNode) EachNumber(ctx context.Context, index, field string, yield func(id string, number int64)) error {
	if err := n.ask(ctx, http.MethodPost, "/"+index+"/_refresh", "", nil); err != nil {
		return err
	}
	var page struct {
		Scroll string `json:"_scroll_id"`
		Hits   struct {
			Hits []struct {
				ID     string                   `json:"_id"`
				Fields map[string][]json.Number `json:"fields"`
			} `json:"hits"`
		} `json:"hits"`
	}
	path, body := "/"+index+"/_search?scroll=5m", fmt.Sprintf(
		`{"size":10000,"_source":false,"sort":["_doc"],"docvalue_fields":[{"field":%q}]}`, field)
	for {
		page.Hits.Hits = nil
		if err := n.ask(ctx, http.MethodPost, path, body, &page); err != nil {
			return err
		}
		if len(page.Hits.Hits) == 0 {
			return n.ask(ctx, http.MethodDelete, "/_search/scroll", fmt.Sprintf(`{"scroll_id":%q}`, page.Scroll), nil)
		}
		for _, hit := range page.Hits.Hits {
			number := int64(-1)
			if values := hit.Fields[field]; len(values) == 1 {
				if parsed, err := strconv.ParseInt(values[0].String(), 10, 64); err == nil {
					number = parsed
				}
			}
			yield(hit.ID, number)
		}
		path, body = "/_search/scroll", fmt.Sprintf(`{"scroll":"5m","scroll_id":%q}`, page.Scroll)
	}
}
